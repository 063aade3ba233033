#include "bench/job.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/section.h"
#include "bench/output.h"
#include "bench/team.h"
#include "common/base/clock.h"

/* What a worker tells its parent, in memory that both share. */
struct worker {
	bool is_mounted;
	uint64_t start;
	uint64_t end;
	uint64_t *samples;
};

/* What the functions of the team are called with. */
struct run {
	const struct job *job;
	struct worker *workers;
};

/* Add the mount that the argument of a -M describes. */
static int
add_mount(struct sm *sm, const char *text)
{
	int error = 0;
	char *copy = strdup(text), *rest = NULL;
	char *fields[5] = { NULL };
	size_t count = 0;

	if (copy == NULL)
		return -ENOMEM;
	for (char *f = strtok_r(copy, " \t", &rest); f != NULL && count < 5;
	     f = strtok_r(NULL, " \t", &rest))
		fields[count++] = f;
	if (count != 3 && count != 4) {
		warnx("-M '%s': not a URI, a path, a type, and perhaps options", text);
		error = -EINVAL;
	} else if (sm_mount(sm, fields[0], fields[1], fields[2], fields[3]) == -1) {
		error = -errno;
		warnx("-M '%s': %s", text, sm_error(sm));
	}
	free(copy);
	return error;
}

/* The mounts of the command line, or NULL after saying what is wrong. */
static struct sm *
make_mounts(const struct job *job)
{
	struct sm *sm = sm_new();

	if (sm == NULL) {
		warn("sm_new");
		return NULL;
	}
	if (job->conf != NULL && sm_load(sm, job->conf) == -1) {
		warnx("%s", sm_error(sm));
		goto fail;
	}
	for (size_t i = 0; i < job->mount_count; i++)
		if (add_mount(sm, job->mounts[i]) != 0)
			goto fail;
	return sm;
fail:
	sm_free(sm);
	return NULL;
}

/* Open the section wherever its paths are; 0, or -1 after saying what is wrong. */
static int
open_section(const struct job *job, struct sm *sm, struct section *section, bool *is_mounted)
{
	int error = section_open_mounted(section, sm, job->mempath, job->lockpath, job->size);

	*is_mounted = error == 0;
	if (error == -EXDEV)
		warnx("%s and %s: one of them is under a mount, and the other is not", job->mempath,
		    job->lockpath);
	else if (error != 0 && error != -ENOENT)
		warnx("%s, %s: %s: %s", job->mempath, job->lockpath, strerror(-error),
		    sm_error(sm));
	if (error != -ENOENT)
		return error == 0 ? 0 : -1;
	if ((error = section_open_plain(section, job->mempath, job->lockpath, job->size,
		 job->threads > 1)) == 0)
		return 0;
	warnx("%s, %s: under no mount, and as plain files: %s", job->mempath, job->lockpath,
	    strerror(-error));
	return -1;
}

static void *
setup(void *arg)
{
	return make_mounts(((struct run *)arg)->job);
}

static void
teardown(void *sm)
{
	sm_free(sm);
}

static int
work(void *arg, void *sm, size_t index, struct team_barrier *barrier)
{
	const struct job *job = ((struct run *)arg)->job;
	struct worker *worker = &((struct run *)arg)->workers[index];
	struct section section = { .ops = NULL };
	int error = -1;

	if (open_section(job, sm, &section, &worker->is_mounted) != 0)
		goto out;
	/* Or the kernel would find memory for them while the clock runs. */
	memset(worker->samples, 0, job->iterations * sizeof *worker->samples);
	if (!team_wait(barrier))
		goto out;
	worker->start = clock_now();
	error = section_measure(&section, job->changed, worker->samples, job->iterations);
	worker->end = clock_now();
	if (error != 0)
		warnx("%s: %s: %s", job->lockpath, strerror(-error),
		    worker->is_mounted ? sm_error(sm) : "critical section failed");
	/* To unmap is for all threads of a process: not before the last is done. */
	else if (!team_wait(barrier))
		error = -1;
out:
	section_close(&section);
	return error == 0 ? 0 : -1;
}

/* Start them all, let them go when the last is ready, wait for the last to end. */
static int
run_workers(struct run *run)
{
	const struct team_plan plan = { .processes = run->job->processes,
		.threads = run->job->threads,
		.setup = setup,
		.work = work,
		.teardown = teardown,
		.arg = run };
	struct team *team = NULL;
	int error = team_create(&team, &plan);

	if (error != 0) {
		warnx("cannot start a process: %s", strerror(-error));
		return error;
	}
	/* Who fails says why. */
	if ((error = team_release(team)) == 0 && (error = team_release(team)) == 0)
		error = team_finish(team);
	team_destroy(team);
	return error;
}

/* How many critical sections a worker had done at a time. */
static size_t
count_until(const struct worker *worker, size_t iterations, uint64_t when)
{
	uint64_t now = worker->start;
	size_t count = 0;

	while (count < iterations && (now += worker->samples[count]) <= when)
		count++;
	return count;
}

/* Before the samples are sorted. */
static void
find_shares(const struct run *run, struct job_result *out)
{
	const size_t workers = run->job->processes * run->job->threads;
	uint64_t first_end = UINT64_MAX;

	for (size_t i = 0; i < workers; i++)
		if (run->workers[i].end < first_end)
			first_end = run->workers[i].end;
	for (size_t i = 0; i < workers; i++)
		out->shares[i] = count_until(&run->workers[i], run->job->iterations, first_end);
	out->spread = stats_spread(out->shares, workers);
}

static int
make_result(const struct run *run, uint64_t *samples, struct job_result *out)
{
	const size_t workers = run->job->processes * run->job->threads;
	uint64_t start = UINT64_MAX, end = 0;

	if ((out->shares = calloc(workers, sizeof *out->shares)) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < workers; i++) {
		start = run->workers[i].start < start ? run->workers[i].start : start;
		end = run->workers[i].end > end ? run->workers[i].end : end;
	}
	find_shares(run, out);
	out->is_mounted = run->workers[0].is_mounted;
	out->sections = workers * run->job->iterations;
	out->elapsed = end - start;
	stats_compute(&out->cost, samples, out->sections);
	return 0;
}

int
job_run(const struct job *job, struct job_result *out)
{
	const size_t count = job->processes * job->threads;
	const size_t workers_size = count * sizeof(struct worker);
	const size_t size = workers_size + count * job->iterations * sizeof(uint64_t);
	struct run run = { .job = job, .workers = team_share(size) };
	uint64_t *samples;
	int error;

	if (run.workers == NULL) {
		warn("memory for the times of %zu critical sections", count * job->iterations);
		return -1;
	}
	samples = (uint64_t *)(void *)((char *)run.workers + workers_size);
	for (size_t i = 0; i < count; i++)
		run.workers[i].samples = samples + i * job->iterations;
	if ((error = run_workers(&run)) == 0 && (error = make_result(&run, samples, out)) != 0)
		warnx("%s", strerror(-error));
	munmap(run.workers, size);
	return error == 0 ? 0 : -1;
}

void
job_result_fini(struct job_result *result)
{
	free(result->shares);
	result->shares = NULL;
}

static void
print_shares(const struct job *job, const struct job_result *result)
{
	const size_t workers = job->processes * job->threads;
	uint64_t sum = 0;

	for (size_t i = 0; i < workers; i++)
		sum += result->shares[i];
	printf("shares until the first was done (most - least: %.2f %% of the mean):\n",
	    result->spread * 100);
	for (size_t i = 0; i < workers; i++)
		printf("  process %zu, thread %zu: %" PRIu64 " of %zu, %.2f %%\n", i / job->threads,
		    i % job->threads, result->shares[i], job->iterations,
		    sum > 0 ? (double)result->shares[i] * 100 / (double)sum : 0);
}

void
job_print(const struct job *job, const struct job_result *result)
{
	const uint64_t micros = result->elapsed / 1000;

	printf("critical sections: %zu, elapsed: secs:%" PRIu64 ", usec:%" PRIu64 "\n",
	    result->sections, micros / 1000000, micros % 1000000);
	printf("(%.9f seconds per critical section)\n",
	    (double)result->elapsed / 1e9 / (double)result->sections);
	printf("median: %.3f us, 99th percentile: %.3f us\n", (double)result->cost.median / 1e3,
	    (double)result->cost.p99 / 1e3);
	if (job->processes * job->threads > 1)
		print_shares(job, result);
}

void
job_print_json(const struct job *job, const struct job_result *result)
{
	printf("{\"mempath\": ");
	output_json_string(job->mempath);
	printf(", \"lockpath\": ");
	output_json_string(job->lockpath);
	printf(
	    ", \"mounted\": %s, \"memsize\": %zu, \"changed\": %zu, \"processes\": %zu, "
	    "\"threads\": %zu, \"iterations\": %zu, \"sections\": %zu, \"elapsed_ns\": %" PRIu64
	    ", \"seconds_per_section\": %.9f, ",
	    result->is_mounted ? "true" : "false", job->size, job->changed, job->processes,
	    job->threads, job->iterations, result->sections, result->elapsed,
	    (double)result->elapsed / 1e9 / (double)result->sections);
	output_json_stats(&result->cost);
	printf(", \"spread\": %.5f, \"shares\": [", result->spread);
	for (size_t i = 0; i < job->processes * job->threads; i++)
		printf("%s%" PRIu64, i > 0 ? ", " : "", result->shares[i]);
	printf("]}\n");
}
