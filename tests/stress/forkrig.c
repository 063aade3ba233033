#include "tests/stress/forkrig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

enum { SEGMENT = 64 * 1024 };

struct daemon forkrig_server;
struct client forkrig_mine;

int
forkrig_must(const char *call, int result)
{
	if (result != 0)
		fprintf(stderr, "process %ld: %s: %s\n", (long)getpid(), call,
		    sm_error(forkrig_mine.sm));
	return result != 0;
}

int
forkrig_increment(int times)
{
	int failures = 0;

	for (; times > 0 && failures == 0; times--) {
		failures += FORKRIG_MUST(sm_lock(forkrig_mine.file));
		++*forkrig_mine.words;
		failures += FORKRIG_MUST(sm_unlock(forkrig_mine.file));
	}
	return failures;
}

uint64_t
forkrig_read(void)
{
	uint64_t value;

	assert_int_equal(sm_rdlock(forkrig_mine.file), 0);
	value = *forkrig_mine.words;
	assert_int_equal(sm_unlock(forkrig_mine.file), 0);
	return value;
}

int
forkrig_start(void **state)
{
	*state = &forkrig_server;
	daemon_open(&forkrig_server, &(struct daemon_config){ .has_keys = true });
	return 0;
}

int
forkrig_finish(void **state)
{
	return daemon_teardown(state);
}

int
forkrig_begin(void **state)
{
	(void)state;
	/* A new file for each test: pending forks keep files open for a while. */
	return client_open_new(&forkrig_mine, &forkrig_server, SEGMENT) ? 0 : -1;
}

int
forkrig_end(void **state)
{
	(void)state;
	client_close(&forkrig_mine);
	return 0;
}
