#include "bench/job.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/output.h"
#include "bench/section.h"
#include "common/base/clock.h"

/* Threads get the processors in slices of milliseconds: shares of less time are chance. */
enum { SHARES_NS = 100 * 1000 * 1000 };

/* The results of a worker. */
struct worker {
	bool is_mounted;
	uint64_t start;
	uint64_t end;
	uint64_t samples[];
};

/* The argument of the team's functions. */
struct run {
	const struct job *job;
	char *workers; /* the results of each, worker_size() bytes */
};

static size_t
worker_count(const struct job *job)
{
	return job->processes * job->threads;
}

static size_t
worker_size(const struct job *job)
{
	return sizeof(struct worker) + job->iterations * sizeof(uint64_t);
}

static struct worker *
worker_at(const struct run *run, size_t number)
{
	return (struct worker *)(void *)(run->workers + number * worker_size(run->job));
}

/* --- in the workers: mounting ------------------------------------------- */

/* Adds the mount of one -M. */
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

/* Makes the mounts of the command line. */
static void *
setup(void *arg)
{
	const struct job *job = ((struct run *)arg)->job;
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

static void
teardown(void *sm)
{
	sm_free(sm);
}

/* --- in the workers: measuring ------------------------------------------ */

/* Only LOCKPATH is created: a MEMPATH that is missing was meant to be under a mount. */
static int
open_plain(const struct job *job, struct section *section)
{
	int error;

	if (access(job->mempath, F_OK) != 0) {
		error = -errno;
		warnx("%s: under no mount (-f, -M), and as a plain file: %s", job->mempath,
		    strerror(-error));
		return error;
	}
	error = section_open_plain(section, job->mempath, job->lockpath, job->size,
	    job->threads > 1);
	if (error != 0)
		warnx("%s, %s: under no mount, and as plain files: %s", job->mempath, job->lockpath,
		    strerror(-error));
	return error;
}

/* A mount has absolute paths: a relative one begins at the working directory. */
static int
make_absolute(char out[PATH_MAX], const char *path)
{
	char cwd[PATH_MAX] = "";

	if (*path != '/' && getcwd(cwd, sizeof cwd) == NULL)
		return -errno;
	if (snprintf(out, PATH_MAX, "%s%s%s", cwd, *path != '/' ? "/" : "", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* Opens memory files, or plain files if neither path is under a mount. */
static int
open_section(const struct job *job, struct sm *sm, struct section *section, bool *is_mounted)
{
	char mempath[PATH_MAX], lockpath[PATH_MAX];
	bool is_other_mounted = false;
	int error = make_absolute(mempath, job->mempath);

	if (error == 0)
		error = make_absolute(lockpath, job->lockpath);
	if (error == 0)
		error = section_find_mount(sm, mempath, is_mounted);
	if (error == 0)
		error = section_find_mount(sm, lockpath, &is_other_mounted);
	if (error == 0 && *is_mounted != is_other_mounted) {
		warnx("%s and %s: one of them is under a mount, and the other is not", job->mempath,
		    job->lockpath);
		return -EXDEV;
	}
	if (error == 0 && !*is_mounted)
		return open_plain(job, section);
	if (error == 0)
		error = section_open_mounted(section, sm, mempath, lockpath, job->size);
	if (error != 0)
		warnx("%s, %s: %s: %s", job->mempath, job->lockpath, strerror(-error),
		    sm_error(sm));
	return error;
}

static int
measure(const struct job *job, struct sm *sm, struct section *section, struct worker *worker)
{
	int error;

	worker->start = clock_now();
	error = section_measure(section, job->changed, worker->samples, job->iterations);
	worker->end = clock_now();
	if (error != 0)
		warnx("%s: %s: %s", job->lockpath, strerror(-error),
		    worker->is_mounted ? sm_error(sm) : "critical section failed");
	return error;
}

static int
work(void *arg, void *sm, size_t number, struct team_barrier *barrier)
{
	const struct job *job = ((struct run *)arg)->job;
	struct worker *worker = worker_at(arg, number);
	struct section section = { .ops = NULL };
	int error = open_section(job, sm, &section, &worker->is_mounted);

	if (error != 0)
		return error;
	section.is_hinting = job->is_hinting;
	/* Otherwise the kernel would allocate this memory while the clock runs. */
	memset(worker->samples, 0, job->iterations * sizeof *worker->samples);
	/*
	 * The threads of a process have one mapping, so the second barrier keeps each from
	 * unmapping it before all have finished.
	 */
	if (!team_wait(barrier))
		error = -ECANCELED;
	else if ((error = measure(job, sm, &section, worker)) == 0 && !team_wait(barrier))
		error = -ECANCELED;
	section_close(&section);
	return error;
}

/* --- in the parent ------------------------------------------------------ */

/* Starts the workers, releases them when the last is ready, and waits until all have ended. */
static int
run_workers(struct run *run)
{
	const struct team_plan plan = { .processes = run->job->processes,
		.threads = run->job->threads,
		.setup = setup,
		.work = work,
		.teardown = teardown,
		.arg = run,
		.results = run->workers,
		.result_size = worker_size(run->job) };
	struct team *team = NULL;
	int error = team_create(&team, &plan);

	if (error != 0) {
		warnx("cannot start a process: %s", strerror(-error));
		return error;
	}
	/* A worker that fails prints why. */
	if ((error = team_release(team)) == 0 && (error = team_release(team)) == 0)
		error = team_finish(team);
	team_destroy(team);
	return error;
}

/* How many critical sections a worker had done at a moment. */
static size_t
count_until(const struct worker *worker, size_t iterations, uint64_t moment)
{
	uint64_t now = worker->start;
	size_t count = 0;

	while (count < iterations && (now += worker->samples[count]) <= moment)
		count++;
	return count;
}

/* Needs the samples in the order of their critical sections. */
static void
find_shares(const struct run *run, struct job_result *out)
{
	const size_t workers = worker_count(run->job), each = run->job->iterations;
	uint64_t last_start = 0, first_end = UINT64_MAX;

	for (size_t i = 0; i < workers; i++) {
		const struct worker *worker = worker_at(run, i);

		first_end = worker->end < first_end ? worker->end : first_end;
		last_start = worker->start > last_start ? worker->start : last_start;
	}
	out->together = first_end > last_start ? first_end - last_start : 0;
	for (size_t i = 0; i < workers && out->together > 0; i++)
		out->shares[i] = count_until(worker_at(run, i), each, first_end) -
		    count_until(worker_at(run, i), each, last_start);
	out->spread = stats_spread(out->shares, workers);
}

/* samples: room for those of all workers. */
static int
make_result(const struct run *run, uint64_t *samples, struct job_result *out)
{
	const size_t workers = worker_count(run->job), each = run->job->iterations;
	uint64_t start = UINT64_MAX, end = 0;

	if ((out->shares = calloc(workers, sizeof *out->shares)) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < workers; i++) {
		const struct worker *worker = worker_at(run, i);

		start = worker->start < start ? worker->start : start;
		end = worker->end > end ? worker->end : end;
		memcpy(samples + i * each, worker->samples, each * sizeof *samples);
	}
	find_shares(run, out);
	out->is_mounted = worker_at(run, 0)->is_mounted;
	out->sections = workers * each;
	out->elapsed = end - start;
	stats_compute(&out->cost, samples, out->sections);
	return 0;
}

int
job_run(const struct job *job, struct job_result *out)
{
	const size_t count = worker_count(job);
	struct run run = { .job = job, .workers = calloc(count, worker_size(job)) };
	uint64_t *samples = calloc(count * job->iterations, sizeof *samples);
	int error = -ENOMEM;

	if (run.workers == NULL || samples == NULL)
		warn("memory for the times of %zu critical sections", count * job->iterations);
	else if ((error = run_workers(&run)) == 0 && (error = make_result(&run, samples, out)) != 0)
		warnx("%s", strerror(-error));
	free(samples);
	free(run.workers);
	return error;
}

void
job_result_fini(struct job_result *result)
{
	free(result->shares);
	result->shares = NULL;
}

/* --- printing ----------------------------------------------------------- */

static bool
has_shares(const struct job_result *result)
{
	return result->together >= SHARES_NS;
}

static void
print_shares(const struct job *job, const struct job_result *result)
{
	const size_t workers = worker_count(job);
	uint64_t sum = 0;

	if (!has_shares(result)) {
		printf(
		    "shares: too short a run to tell: all threads were at work together for %.3f ms; do more ITERATIONS\n",
		    (double)result->together / 1e6);
		return;
	}
	for (size_t i = 0; i < workers; i++)
		sum += result->shares[i];
	printf(
	    "shares while all threads were at work, %.3f s (most - least: %.2f %% of the mean):\n",
	    (double)result->together / 1e9, result->spread * 100);
	for (size_t i = 0; i < workers; i++)
		printf("  process %zu, thread %zu: %" PRIu64 " of %zu, %.2f %%\n", i / job->threads,
		    i % job->threads, result->shares[i], job->iterations,
		    sum > 0 ? (double)result->shares[i] * 100 / (double)sum : 0);
}

static double
seconds_each(const struct job_result *result)
{
	return (double)result->elapsed / 1e9 / (double)result->sections;
}

/* Prints how much all threads did, and how long one waited: one says nothing of the other. */
void
job_print(const struct job *job, const struct job_result *result)
{
	const bool is_alone = worker_count(job) == 1;
	const uint64_t micros = result->elapsed / 1000;

	printf("critical sections: %zu, elapsed: secs:%" PRIu64 ", usec:%" PRIu64 "\n",
	    result->sections, micros / 1000000, micros % 1000000);
	printf("(%.9f seconds per critical section)\n", seconds_each(result));
	if (!is_alone)
		printf(
		    "all %zu threads together: %.0f critical sections a second, one every %.3f us\n",
		    worker_count(job), 1 / seconds_each(result), seconds_each(result) * 1e6);
	printf("median: %.3f us, 99th percentile: %.3f us%s\n", (double)result->cost.median / 1e3,
	    (double)result->cost.p99 / 1e3,
	    is_alone ? "" : ", of one thread, with its wait for the others");
	if (!is_alone)
		print_shares(job, result);
}

static void
json_shares(const struct job *job, const struct job_result *result)
{
	if (!has_shares(result)) {
		printf(", \"together_ns\": null, \"spread\": null, \"shares\": null");
		return;
	}
	printf(", \"together_ns\": %" PRIu64 ", \"spread\": %.5f, \"shares\": [", result->together,
	    result->spread);
	for (size_t i = 0; i < worker_count(job); i++)
		printf("%s%" PRIu64, i > 0 ? ", " : "", result->shares[i]);
	putchar(']');
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
	    job->threads, job->iterations, result->sections, result->elapsed, seconds_each(result));
	output_json_stats(&result->cost);
	json_shares(job, result);
	printf("}\n");
}
