#include "tests/stress/kinds.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/stress/daemon.h"
#include "tests/stress/smc.h"

static const char *const names[KINDS] = { "smdish", "smuf", "smc" };
static struct daemon servers[2];
static struct smc_world world;
static int running; /* the kind */
static unsigned count;
static char name[32]; /* of the running test's file, without its mount */

int
kinds_begin(void **state)
{
	(void)state;
	daemon_open(&servers[0], &(struct daemon_config){ .has_keys = true });
	daemon_open(&servers[1], &(struct daemon_config){ .is_smuf = true, .has_keys = true });
	smc_world_create(&world);
	return 0;
}

int
kinds_end(void **state)
{
	(void)state;
	daemon_close(&servers[0]);
	daemon_close(&servers[1]);
	smc_world_destroy(&world);
	return 0;
}

void
kinds_run(void (*test)(void))
{
	for (running = 0; running < KINDS; running++) {
		snprintf(name, sizeof name, "file-%u", count++);
		print_message("           over %s\n", names[running]);
		test();
	}
}

void
kinds_expect(const char *call, int result, int error)
{
	if ((result == 0 ? 0 : errno) != error)
		fail_msg("%s: expected %s, got %s", call, strerror(error),
		    result == 0 ? "success" : sm_error(NULL));
}

bool
kinds_is_smc(void)
{
	return running == KINDS - 1;
}

bool
kinds_signal(int signal)
{
	if (!kinds_is_smc())
		daemon_signal(&servers[running], signal);
	return !kinds_is_smc();
}

const char *
kinds_path(void)
{
	static char text[64];

	snprintf(text, sizeof text, "%s/%s", kinds_is_smc() ? SMC_MOUNT : CLIENT_MOUNT, name);
	return text;
}

struct sm *
kinds_set(void)
{
	return kinds_is_smc() ? smc_mount(&world, world.key) : client_create(&servers[running]);
}

void
kinds_open(struct client *c, size_t size)
{
	int error;

	if (!kinds_is_smc()) {
		client_expect_open(c, &servers[running], kinds_path(), size);
		return;
	}
	error = smc_join(c, &world, name, size);
	if (error != 0)
		fail_msg("smc: %s", strerror(error));
}

struct sm_file *
kinds_handle(const struct client *c)
{
	struct sm_file *f = sm_open(c->sm, kinds_path());

	if (f == NULL)
		fail_msg("%s: %s", kinds_path(), sm_error(c->sm));
	return f;
}
