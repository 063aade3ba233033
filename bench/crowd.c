#include "bench/crowd.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/team.h"
#include "common/base/clock.h"
#include "common/client/smclient.h"

enum { BATCH = 3000, WARM_UP_BATCH = 100 };

/* Long enough for the server to finish with the clients that have just come or gone. */
#define SETTLE_TIME (CLOCK_SEC / 4)

struct crowd {
	const struct crowd_plan *plan;
	const char *conf;
	const char *mount;
	struct team *team;
};

/* --- in the processes --------------------------------------------------- */

/* The clients of one process. */
static void *
setup(void *arg)
{
	const struct crowd *crowd = arg;
	struct sm **clients = calloc(crowd->plan->clients / CROWD_PROCESSES, sizeof(struct sm *));

	if (clients == NULL)
		warn("idle clients");
	return clients;
}

static int
open_client(const struct crowd *crowd, struct sm *sm, size_t number)
{
	char path[128];

	if (sm_load(sm, crowd->conf) == -1)
		return -errno;
	for (size_t i = 0; i < crowd->plan->files; i++) {
		snprintf(path, sizeof path, "%s/%s.%zu.%zu", crowd->mount, crowd->plan->name,
		    number, i);
		if (sm_open(sm, path) == NULL)
			return -errno;
	}
	return 0;
}

/* Opens count clients, which have numbers from first on. */
static int
open_clients(const struct crowd *crowd, struct sm **clients, size_t count, size_t first)
{
	for (size_t i = 0; i < count; i++) {
		int error = -ENOMEM;

		if ((clients[i] = sm_new()) != NULL)
			error = open_client(crowd, clients[i], first + i);
		if (error != 0) {
			warnx("idle client %zu: %s", first + i, sm_error(clients[i]));
			return error;
		}
	}
	return 0;
}

static void
close_clients(struct sm **clients, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		sm_free(clients[i]);
		clients[i] = NULL;
	}
}

/* The barriers: connect; all are connected; disconnect; all are disconnected. */
static int
work(void *arg, void *shared, size_t process, struct team_barrier *barrier)
{
	const struct crowd *crowd = arg;
	const size_t count = crowd->plan->clients / CROWD_PROCESSES;
	struct sm **clients = shared;
	int error;

	while (team_wait(barrier)) {
		if ((error = open_clients(crowd, clients, count, process * count)) != 0)
			return error;
		if (!team_wait(barrier) || !team_wait(barrier))
			break;
		close_clients(clients, count);
		if (!team_wait(barrier))
			break;
	}
	return 0;
}

static void
teardown(void *clients)
{
	free(clients);
}

/* --- in the parent ------------------------------------------------------ */

int
crowd_create(struct crowd **out, const struct crowd_plan *plan, const char *conf, const char *mount)
{
	struct crowd *crowd = malloc(sizeof *crowd);
	const struct team_plan team = { .processes = CROWD_PROCESSES,
		.threads = 1,
		.setup = setup,
		.work = work,
		.teardown = teardown,
		.arg = crowd };
	int error;

	assert(plan->clients % CROWD_PROCESSES == 0);
	assert(plan->rounds > 0 && plan->rounds <= CROWD_ROUNDS_MOST);
	if (crowd == NULL)
		return -ENOMEM;
	*crowd = (struct crowd){ .plan = plan, .conf = conf, .mount = mount };
	if ((error = team_create(&crowd->team, &team)) != 0) {
		crowd_destroy(crowd);
		return error;
	}
	*out = crowd;
	return 0;
}

/* Lets all clients connect, or disconnect, and waits until they have. */
static int
step(struct crowd *crowd)
{
	int error = team_release(crowd->team);

	return error != 0 ? error : team_release(crowd->team);
}

void
crowd_destroy(struct crowd *crowd)
{
	if (crowd == NULL)
		return;
	team_destroy(crowd->team);
	free(crowd);
}

/* --- measuring ---------------------------------------------------------- */

struct samples {
	uint64_t alone[(CROWD_ROUNDS_MOST + 1) * BATCH];
	uint64_t crowded[CROWD_ROUNDS_MOST * BATCH];
};

static int
measure_settled(struct section *section, uint64_t *samples)
{
	uint64_t end;
	int error;

	/* Otherwise the disk would still write the files that were just created or removed. */
	sync();
	end = clock_now() + SETTLE_TIME;
	/* The samples of the warm-up are overwritten. */
	do
		if ((error = section_measure(section, 0, samples, WARM_UP_BATCH)) != 0)
			return error;
	while (clock_now() < end);
	return section_measure(section, 0, samples, BATCH);
}

static uint64_t
median(uint64_t *samples, size_t count)
{
	struct stats stats;

	stats_compute(&stats, samples, count);
	return stats.median;
}

static void
summarise(struct crowd_result *out, struct samples *s, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		double ratio = (double)median(s->crowded + i * BATCH, BATCH) /
		    (double)median(s->alone + i * BATCH, BATCH);

		if (i == 0 || ratio < out->ratio_least)
			out->ratio_least = ratio;
		if (i == 0 || ratio > out->ratio_most)
			out->ratio_most = ratio;
	}
	stats_compute(&out->alone, s->alone, (rounds + 1) * BATCH);
	stats_compute(&out->crowded, s->crowded, rounds * BATCH);
	out->ratio = (double)out->crowded.median / (double)out->alone.median;
}

int
crowd_measure(struct crowd *crowd, struct section *section, struct crowd_result *out)
{
	const size_t rounds = crowd->plan->rounds;
	struct samples *s = calloc(1, sizeof *s);
	int error;

	if (s == NULL)
		return -ENOMEM;
	error = measure_settled(section, s->alone);
	for (size_t i = 0; i < rounds && error == 0; i++)
		if ((error = step(crowd)) == 0 &&
		    (error = measure_settled(section, s->crowded + i * BATCH)) == 0 &&
		    (error = step(crowd)) == 0)
			error = measure_settled(section, s->alone + (i + 1) * BATCH);
	if (error == 0)
		summarise(out, s, rounds);
	free(s);
	return error;
}
