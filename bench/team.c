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

/* What a worker reads at the gate. */
static const char token_go = 'g';
static const char token_end = 'e';

struct member {
	pid_t pid; /* -1: none */
	int ready; /* read: a byte for each of its workers that is at the gate; its end when it ends */
};

struct team {
	struct team_plan plan;
	/*
	 * A byte for each worker: of one pipe at even meetings, of the other at
	 * odd ones, or who is early at the next would take what a late one
	 * has not read yet.  Our own ends to read stay open: nobody gets SIGPIPE.
	 */
	int go[2][2];
	size_t meetings;
	struct member members[];
};

struct gate {
	int ready;
	int go[2];
	size_t meetings;
};

struct thread {
	const struct team_plan *plan;
	struct gate gate;
	void *shared;
	size_t worker;
	pthread_t id;
};

void *
team_share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* --- in the workers ----------------------------------------------------- */

bool
team_pass(struct gate *gate)
{
	const char byte = 0;
	const int go = gate->go[gate->meetings++ % 2];
	char token = token_end;

	if (write(gate->ready, &byte, 1) != 1)
		return false;
	while (read(go, &token, 1) == -1 && errno == EINTR)
		;
	return token == token_go;
}

static void *
run_thread(void *arg)
{
	struct thread *t = arg;

	/* All of the process: the others may be at a gate that would never open. */
	if (t->plan->work(t->plan->arg, t->shared, t->worker, &t->gate) != 0)
		_exit(1);
	return NULL;
}

/* A process; returns its exit status, if it returns. */
static int
run_member(const struct team_plan *plan, size_t process, const struct gate *gate)
{
	struct thread *threads = calloc(plan->threads, sizeof *threads);
	void *shared = plan->enter(plan->arg);
	int error;

	if (threads == NULL || shared == NULL)
		_exit(1);
	for (size_t i = 0; i < plan->threads; i++)
		threads[i] = (struct thread){ .plan = plan,
			.gate = *gate,
			.shared = shared,
			.worker = process * plan->threads + i };
	/* The first is the process's own: one of a single thread never starts any. */
	for (size_t i = 1; i < plan->threads; i++) {
		error = pthread_create(&threads[i].id, NULL, run_thread, &threads[i]);
		if (error != 0) {
			warnx("cannot start a thread: %s", strerror(error));
			_exit(1);
		}
	}
	run_thread(&threads[0]);
	for (size_t i = 1; i < plan->threads; i++)
		pthread_join(threads[i].id, NULL);
	plan->leave(shared);
	free(threads);
	return 0;
}

/* --- in the parent ------------------------------------------------------ */

static int
start_member(struct team *team, size_t process)
{
	struct member *member = &team->members[process];
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
		const struct gate gate = { .ready = fds[1],
			.go = { team->go[0][0], team->go[1][0] } };

		close(fds[0]);
		exit(run_member(&team->plan, process, &gate));
	}
	/* Now, or its end would go unnoticed as long as a later one lives. */
	close(fds[1]);
	*member = (struct member){ .pid = pid, .ready = fds[0] };
	return 0;
}

int
team_create(struct team **out, const struct team_plan *plan)
{
	int error = 0;
	struct team *team = NULL;

	assert(plan->processes > 0 && plan->threads > 0);
	assert(plan->processes <= TEAM_WORKERS_MOST / plan->threads);
	team = calloc(1, sizeof *team + plan->processes * sizeof team->members[0]);
	if (team == NULL)
		return -ENOMEM;
	team->plan = *plan;
	for (size_t i = 0; i < 2; i++)
		team->go[i][0] = team->go[i][1] = -1;
	for (size_t i = 0; i < plan->processes; i++)
		team->members[i] = (struct member){ .pid = -1, .ready = -1 };
	for (size_t i = 0; i < 2; i++)
		if (pipe(team->go[i]) == -1 && error == 0)
			error = -errno;
	for (size_t i = 0; i < plan->processes && error == 0; i++)
		error = start_member(team, i);
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
	const int go = team->go[team->meetings++ % 2][1];
	const size_t count = team->plan.processes * team->plan.threads;

	memset(tokens, token, count);
	for (size_t done = 0; done < count;) {
		ssize_t n = write(go, tokens + done, count - done);

		assert(n > 0 || errno == EINTR); /* there is room, and we can read it ourselves */
		if (n > 0)
			done += (size_t)n;
	}
}

int
team_meet(struct team *team)
{
	char byte;

	for (size_t i = 0; i < team->plan.processes; i++)
		for (size_t j = 0; j < team->plan.threads; j++) {
			ssize_t n;

			while ((n = read(team->members[i].ready, &byte, 1)) == -1 && errno == EINTR)
				;
			if (n != 1)
				return -EPIPE;
		}
	give_tokens(team, token_go);
	return 0;
}

int
team_finish(struct team *team)
{
	int error = 0;

	give_tokens(team, token_end);
	for (size_t i = 0; i < team->plan.processes; i++) {
		struct member *member = &team->members[i];

		if (member->pid != -1 && process_wait(member->pid) != 0)
			error = -EPIPE;
		member->pid = -1;
	}
	return error;
}

void
team_destroy(struct team *team)
{
	if (team == NULL)
		return;
	for (size_t i = 0; i < team->plan.processes; i++) {
		process_kill(team->members[i].pid);
		if (team->members[i].ready != -1)
			close(team->members[i].ready);
	}
	for (size_t i = 0; i < 4; i++)
		if (team->go[i / 2][i % 2] != -1)
			close(team->go[i / 2][i % 2]);
	free(team);
}
