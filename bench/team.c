#include "bench/team.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/process.h"
#include "common/host/ground.h"

/* A worker at the barrier reads one of these. */
static const char token_go = 'g';
static const char token_end = 'e';

struct process {
	pid_t pid; /* -1: none */
	/* Read end: a byte for each of its workers at the barrier, end of file when it ends. */
	int arrived;
};

struct team {
	struct team_plan plan;
	/*
	 * A token for each worker: from one pipe at even steps, from the other at odd steps. With
	 * one pipe a worker that is early at the next step would take the token of a late one. The
	 * parent keeps its read ends open, so that its writes never raise SIGPIPE.
	 */
	int go[2][2];
	size_t steps;
	struct process processes[];
};

struct team_barrier {
	int arrived;
	int go[2];
	size_t steps;
};

struct worker {
	const struct team_plan *plan;
	struct team_barrier barrier;
	void *shared;
	size_t number;
	pthread_t thread;
};

void *
team_share(size_t size)
{
	void *memory;

	if (!ground_has(GROUND_SHARED_MEMORY)) {
		warnx(
		    "this cannot be measured: the system shares no memory with forked processes; "
		    "give a mount and paths instead");
		return NULL;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		return memory;
	warn("memory for results");
	return NULL;
}

/* --- in the workers ----------------------------------------------------- */

bool
team_wait(struct team_barrier *barrier)
{
	const char byte = 0;
	const int go = barrier->go[barrier->steps++ % 2];
	char token = token_end;

	if (write(barrier->arrived, &byte, 1) != 1)
		return false;
	while (read(go, &token, 1) == -1 && errno == EINTR)
		;
	return token == token_go;
}

static void *
run_worker(void *arg)
{
	struct worker *worker = arg;
	const struct team_plan *plan = worker->plan;

	/* End the whole process: its other threads may wait at a barrier that would never open. */
	if (plan->work(plan->arg, worker->shared, worker->number, &worker->barrier) != 0)
		_exit(1);
	return NULL;
}

/* The place of a process's results. */
static char *
results_of(const struct team_plan *plan, size_t process)
{
	return (char *)plan->results + process * plan->threads * plan->result_size;
}

/* The pipe of the barriers has room for them only when the parent reads. */
static void
send_results(const struct team_plan *plan, size_t process, int fd)
{
	const char *next = results_of(plan, process);
	size_t left = plan->results == NULL ? 0 : plan->threads * plan->result_size;
	ssize_t n;

	while (left > 0) {
		n = write(fd, next, left);
		if (n == -1 && errno != EINTR)
			err(1, "results");
		if (n > 0) {
			next += n;
			left -= (size_t)n;
		}
	}
}

static void
run_process(const struct team_plan *plan, size_t process, const struct team_barrier *barrier)
{
	struct worker *workers = calloc(plan->threads, sizeof *workers);
	void *shared = plan->setup(plan->arg);
	int error;

	if (workers == NULL || shared == NULL)
		_exit(1);
	for (size_t i = 0; i < plan->threads; i++)
		workers[i] = (struct worker){ .plan = plan,
			.barrier = *barrier,
			.shared = shared,
			.number = process * plan->threads + i };
	/* The initial thread is the first worker: a process of one thread never starts another. */
	for (size_t i = 1; i < plan->threads; i++) {
		error = pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]);
		if (error != 0) {
			warnx("cannot start a thread: %s", strerror(error));
			_exit(1);
		}
	}
	run_worker(&workers[0]);
	for (size_t i = 1; i < plan->threads; i++)
		pthread_join(workers[i].thread, NULL);
	plan->teardown(shared);
	send_results(plan, process, barrier->arrived);
	free(workers);
}

/* --- in the parent ------------------------------------------------------ */

static int
start_process(struct team *team, size_t index)
{
	int fds[2];
	int error;
	pid_t pid = -1;

	if (pipe(fds) == -1)
		return -errno;
	if ((error = process_fork(&pid)) != 0) {
		close(fds[0]);
		close(fds[1]);
		return error;
	}
	if (pid == 0) {
		const struct team_barrier barrier = { .arrived = fds[1],
			.go = { team->go[0][0], team->go[1][0] } };

		close(fds[0]);
		run_process(&team->plan, index, &barrier);
		exit(0);
	}
	/* Otherwise later processes would inherit it and keep the pipe open when this one ends. */
	close(fds[1]);
	team->processes[index] = (struct process){ .pid = pid, .arrived = fds[0] };
	return 0;
}

int
team_create(struct team **out, const struct team_plan *plan)
{
	int error = 0;
	struct team *team = NULL;

	assert(plan->processes > 0 && plan->threads > 0);
	assert(plan->processes <= TEAM_WORKERS_MOST / plan->threads);
	team = calloc(1, sizeof *team + plan->processes * sizeof team->processes[0]);
	if (team == NULL)
		return -ENOMEM;
	team->plan = *plan;
	for (size_t i = 0; i < 2; i++)
		team->go[i][0] = team->go[i][1] = -1;
	for (size_t i = 0; i < plan->processes; i++)
		team->processes[i] = (struct process){ .pid = -1, .arrived = -1 };
	for (size_t i = 0; i < 2; i++)
		if (pipe(team->go[i]) == -1 && error == 0)
			error = -errno;
	for (size_t i = 0; i < plan->processes && error == 0; i++)
		error = start_process(team, i);
	if (error != 0) {
		team_destroy(team);
		return error;
	}
	*out = team;
	return 0;
}

static void
give_tokens(struct team *team, char token)
{
	char tokens[TEAM_WORKERS_MOST];
	const int go = team->go[team->steps++ % 2][1];
	const size_t count = team->plan.processes * team->plan.threads;

	memset(tokens, token, count);
	for (size_t done = 0; done < count;) {
		ssize_t n = write(go, tokens + done, count - done);

		assert(n > 0 || errno == EINTR); /* the pipe has room and a read end */
		if (n > 0)
			done += (size_t)n;
	}
}

int
team_release(struct team *team)
{
	char byte;

	for (size_t i = 0; i < team->plan.processes; i++)
		for (size_t j = 0; j < team->plan.threads; j++) {
			ssize_t n;

			while ((n = read(team->processes[i].arrived, &byte, 1)) == -1 &&
			    errno == EINTR)
				;
			if (n != 1)
				return -EPIPE;
		}
	give_tokens(team, token_go);
	return 0;
}

/* Takes the results of a process. -EPIPE: it ended without them. */
static int
take_results(const struct team *team, size_t index)
{
	const struct team_plan *plan = &team->plan;
	char *next = results_of(plan, index);
	size_t left = plan->results == NULL ? 0 : plan->threads * plan->result_size;
	ssize_t n;

	while (left > 0) {
		n = read(team->processes[index].arrived, next, left);
		if (n == 0 || (n == -1 && errno != EINTR))
			return -EPIPE;
		if (n > 0) {
			next += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

int
team_finish(struct team *team)
{
	int error = 0;

	give_tokens(team, token_end);
	for (size_t i = 0; i < team->plan.processes; i++) {
		struct process *process = &team->processes[i];

		if (take_results(team, i) != 0)
			error = -EPIPE;
		if (process->pid != -1 && process_wait(process->pid) != 0)
			error = -EPIPE;
		process->pid = -1;
	}
	return error;
}

void
team_destroy(struct team *team)
{
	if (team == NULL)
		return;
	for (size_t i = 0; i < team->plan.processes; i++) {
		process_kill(team->processes[i].pid);
		if (team->processes[i].arrived != -1)
			close(team->processes[i].arrived);
	}
	for (size_t i = 0; i < 4; i++)
		if (team->go[i / 2][i % 2] != -1)
			close(team->go[i / 2][i % 2]);
	free(team);
}
