/*
 * A thread with a stack of 32 KiB may make every call, over every kind of mount, with TLS, with a
 * large segment and in a forked child (smclient(3), CAVEATS). Each call is made with its stack
 * filled with a pattern, and prints how much of it the call has written to.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"

enum {
	STACK = 32 * SIZE_KIB,
	GUARD = 64 * SIZE_KIB, /* below it: one overflow must not reach past it */
	MARGIN = 4 * SIZE_KIB, /* left for the program in the deepest call */
	NEAR = 256,            /* bytes of our own below a local variable */
	PATTERN = 0xa5,
	SEGMENT = 1024 * SIZE_KIB
};

enum kind { SMDISH, SMUF, SMC, KINDS };

static const char *const kind_names[] = { "smdish", "smuf", "smc" };
static struct daemon daemons[SMC];
static struct smc_world world;

/* The stack of the thread that makes the calls. */
static uint8_t *stack;
static size_t deepest;
static char deepest_call[64];

static struct client client;
static char conf[DAEMON_PATH_SIZE + 16];
static enum kind kind;

/* Fills what the caller's stack has below it. Not inlined: its own frame must end first. */
static void __attribute__((noinline)) fill(void)
{
	volatile uint8_t here = 0, *next = stack;

	while ((uintptr_t)next < (uintptr_t)&here - NEAR)
		*next++ = PATTERN;
}

static size_t
measure(void)
{
	size_t unused = 0;

	while (unused < STACK && stack[unused] == PATTERN)
		unused++;
	return STACK - unused;
}

/* Makes one call, which must succeed. */
static void
check(const char *what, bool (*call)(void))
{
	bool has_succeeded;
	size_t used;

	fill();
	has_succeeded = call();
	used = measure();
	if (!has_succeeded) {
		fprintf(stderr, "%s over %s: %s\n", what, kind_names[kind], sm_error(client.sm));
		_exit(EXIT_FAILURE);
	}
	if (used > deepest) {
		deepest = used;
		snprintf(deepest_call, sizeof deepest_call, "%s over %s", what, kind_names[kind]);
	}
	printf("# %6zu bytes: %s over %s\n", used, what, kind_names[kind]);
}

static bool
call_new(void)
{
	client.sm = sm_new();
	return client.sm != NULL;
}

static bool
call_load(void)
{
	return sm_load(client.sm, conf) == 0;
}

static bool
call_mount(void)
{
	return sm_mount(client.sm, "tcp:localhost:1", "/other", "smdish", "name=x") == 0;
}

static bool
call_open(void)
{
	client.file = sm_open(client.sm, CLIENT_MOUNT "/stack");
	return client.file != NULL;
}

/* Resolves the name of a host first. */
static bool
call_open_in_vain(void)
{
	return sm_open(client.sm, "/other/x") == NULL;
}

static bool
call_map(void)
{
	client.segment = sm_map(client.file, NULL, SEGMENT);
	return client.segment != NULL;
}

static bool
call_lock(void)
{
	return sm_lock(client.file) == 0;
}

static bool
call_trylock(void)
{
	return sm_trylock(client.file) == 0;
}

static bool
call_timedlock(void)
{
	return client_lock_within(&client, PATIENCE_MS) == 0;
}

static bool
call_rdlock(void)
{
	return sm_rdlock(client.file) == 0;
}

static bool
call_dirty(void)
{
	return sm_dirty(client.file, 0, SEGMENT) == 0;
}

static bool
call_unlock(void)
{
	return sm_unlock(client.file) == 0;
}

static bool
call_stat(void)
{
	struct sm_stat stat;

	return sm_stat(client.file, &stat) == 0 && stat.committed == SEGMENT;
}

static bool
call_fork(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		fill();
		if (sm_lock(client.file) != 0 || sm_unlock(client.file) != 0)
			_exit(EXIT_FAILURE);
		printf("# %6zu bytes: the first lock of a child over %s\n", measure(),
		    kind_names[kind]);
		(void)fflush(stdout);
		_exit(measure() + MARGIN <= STACK ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	return child_has_ended_well(pid);
}

static bool
call_unmap(void)
{
	return sm_unmap(client.sm, client.segment) == 0;
}

static bool
call_close(void)
{
	return sm_close(client.file) == 0;
}

static bool
call_free(void)
{
	sm_free(client.sm);
	return true;
}

static void
change_all(unsigned step)
{
	size_t i;

	for (i = 0; i < SEGMENT; i += step)
		client.segment[i]++;
}

static void
lock_and_publish(void)
{
	check("sm_lock", call_lock);
	change_all(SIZE_BLOCK);
	check("sm_dirty", call_dirty);
	check("sm_unlock of all", call_unlock);
	check("sm_trylock", call_trylock);
	client.segment[0]++;
	check("sm_unlock", call_unlock);
	check("sm_timedlock", call_timedlock);
	change_all(64);
	check("sm_unlock of all", call_unlock);
	check("sm_rdlock", call_rdlock);
	check("sm_unlock", call_unlock);
	check("sm_stat", call_stat);
}

static void *
call_all(void *unused)
{
	(void)unused;
	check("sm_new", call_new);
	check("sm_load", call_load);
	check("sm_mount", call_mount);
	check("sm_open", call_open);
	check("sm_open of a server that is not there", call_open_in_vain);
	check("sm_map", call_map);
	lock_and_publish();
	check("fork", call_fork);
	check("sm_unmap", call_unmap);
	check("sm_close", call_close);
	check("sm_free", call_free);
	return NULL;
}

static void
write_conf(void)
{
	const struct daemon *d = &daemons[kind];
	char path[PKI_PATH_SIZE];
	FILE *f;

	snprintf(conf, sizeof conf, "%s/stack.conf", kind == SMC ? world.dir : d->dir);
	f = fopen(conf, "w");
	assert_non_null(f);
	if (kind == SMC)
		fprintf(f, "MOUNT file:%s %s smc key=%s\n", world.memory, CLIENT_MOUNT, world.key);
	else
		fprintf(f, "MOUNT %s%s%s %s %s name=server\n", d->tcp, kind == SMUF ? ",file:" : "",
		    kind == SMUF ? d->memdir : "", CLIENT_MOUNT, kind_names[kind]);
	if (kind != SMC) {
		fprintf(f, "CAFILE %s\n", pki_file(d->config.pki, "root", "crt", path));
		fprintf(f, "CERTFILE %s\n", pki_file(d->config.pki, "client", "crt", path));
		fprintf(f, "KEYFILE %s\n", pki_file(d->config.pki, "client", "key", path));
	}
	assert_int_equal(fclose(f), 0);
}

/* In a process of its own, in which no call was made before: the first one may need more. */
static void __attribute__((noreturn)) run_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	uint8_t *memory = mmap(NULL, GUARD + STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	child_expect(memory != MAP_FAILED, "mmap");
	stack = memory + GUARD;
	child_expect(mprotect(stack, STACK, PROT_READ | PROT_WRITE) == 0, "mprotect");
	child_expect(pthread_attr_init(&attributes) == 0 &&
		pthread_attr_setstack(&attributes, stack, STACK) == 0,
	    "a stack of 32 KiB");
	child_expect(pthread_create(&thread, &attributes, call_all, NULL) == 0, "a thread");
	child_expect(pthread_join(thread, NULL) == 0, "its end");
	printf("# the deepest: %zu bytes, %s\n", deepest, deepest_call);
	(void)fflush(stdout);
	child_expect(deepest + MARGIN <= STACK, "4 KiB are left to the program");
	_exit(EXIT_SUCCESS);
}

static void
a_stack_of_32_kib_suffices_for_every_call(void **state)
{
	int each;
	pid_t pid;

	(void)state;
	if (patience_is_sanitized())
		skip();
	for (each = 0; each < KINDS; each++) {
		kind = (enum kind)each;
		write_conf();
		(void)fflush(stdout);
		pid = child_begin();
		if (pid == 0)
			run_thread();
		child_expect_success(pid);
	}
}

static int
begin_all(void **state)
{
	static const struct daemon_config configs[] = {
		[SMDISH] = { .has_keys = true, .tcp_host = "127.0.0.1" },
		[SMUF] = { .has_keys = true, .is_smuf = true, .tcp_host = "127.0.0.1" },
	};
	int each;

	*state = &world;
	smc_world_create(&world);
	for (each = 0; each < SMC; each++)
		daemon_open(&daemons[each], &configs[each]);
	return 0;
}

static int
end_all(void **state)
{
	int each;

	for (each = 0; each < SMC; each++)
		daemon_close(&daemons[each]);
	return smc_world_teardown(state);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stack_of_32_kib_suffices_for_every_call),
	};

	return cmocka_run_group_tests_name("stack", tests, begin_all, end_all);
}
