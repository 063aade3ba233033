#include "bench/crowd.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/team.h"
#include "common/client/smclient.h"

struct crowd {
	const struct crowd_plan *plan;
	const char *conf;
	const char *mount;
	struct team *team;
};

/* --- in the processes --------------------------------------------------- */

/* The clients of a process. */
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
		return -1;
	for (size_t i = 0; i < crowd->plan->files; i++) {
		snprintf(path, sizeof path, "%s/%s.%zu.%zu", crowd->mount, crowd->plan->name,
		    number, i);
		if (sm_open(sm, path) == NULL)
			return -1;
	}
	return 0;
}

static int
work(void *arg, void *shared, size_t process, struct team_barrier *barrier)
{
	const struct crowd *crowd = arg;
	const size_t count = crowd->plan->clients / CROWD_PROCESSES;
	struct sm **clients = shared;

	/* Meetings: come, all are there; go, all have gone. */
	while (team_wait(barrier)) {
		for (size_t i = 0; i < count; i++) {
			clients[i] = sm_new();
			if (clients[i] == NULL ||
			    open_client(crowd, clients[i], process * count + i) != 0) {
				warnx("idle client %zu: %s", process * count + i,
				    sm_error(clients[i]));
				return -1;
			}
		}
		if (!team_wait(barrier) || !team_wait(barrier))
			break;
		for (size_t i = 0; i < count; i++) {
			sm_free(clients[i]);
			clients[i] = NULL;
		}
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

static int
meet_twice(struct crowd *crowd)
{
	int error = team_release(crowd->team);

	return error != 0 ? error : team_release(crowd->team);
}

int
crowd_gather(struct crowd *crowd)
{
	return meet_twice(crowd);
}

int
crowd_dismiss(struct crowd *crowd)
{
	return meet_twice(crowd);
}

void
crowd_destroy(struct crowd *crowd)
{
	if (crowd == NULL)
		return;
	team_destroy(crowd->team);
	free(crowd);
}
