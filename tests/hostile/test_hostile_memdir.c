/*
 * smuf's directory: peers who forge tickets in thousands of lock files cost the server little, and
 * the server removes no file that is not its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/host/filename.h"
#include "common/wire/protocol.h"
#include "smuf/layout.h"
#include "tests/hostile/peer.h"
#include "tests/hostile/report.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum { PATH_SIZE = DAEMON_PATH_SIZE + 64 };

/* Opens a file of the host in the server's directory. */
static int
open_host_file(const struct daemon *d, const char *name, int flags)
{
	char path[PATH_SIZE];
	int fd;

	snprintf(path, sizeof path, "%s/%s", d->memdir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return fd;
}

/* Forged tickets. */

enum {
	SESSIONS = 6,
	FILES = PROTOCOL_DESCRIPTORS_MOST,
	FORGED_TICKET = 1000000,
	PREPARE_MS = 10 * 1000,
	LOOK_MS = 500,
	LOOKS = 4,       /* it may look at a lock file that is not in use rarely */
	SHARE_MOST = 25, /* percent of a processor, beside what it used before */
	NOTE_BEFORE = 0, /* percent */
	NOTE_AFTER = 1
};

/* The time of the server's main thread on a processor, nanoseconds. */
static unsigned long long
read_usage(const struct rig *rig)
{
	unsigned long long used = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%ld/schedstat", (long)rig->daemon.pid);
	f = fopen(path, "re");
	if (f == NULL || fscanf(f, "%llu", &used) != 1)
		fail_msg("%s: %s", path, strerror(errno));
	fclose(f);
	return used;
}

/* Returns the share of a processor that the server uses now, in percent. */
static unsigned long
measure_share(const struct rig *rig)
{
	uint64_t begun = clock_now();
	unsigned long long before = read_usage(rig);

	poll(NULL, 0, LOOK_MS);
	return (unsigned long)(100 * (read_usage(rig) - before) / (clock_now() - begun));
}

/* Says that many clients wait. */
static void
forge(const struct daemon *d, const char *name)
{
	const uint32_t ticket = FORGED_TICKET;
	int fd = open_host_file(d, name, O_WRONLY);

	assert_int_equal(pwrite(fd, &ticket, sizeof ticket, LAYOUT_TICKET_AT), sizeof ticket);
	close(fd);
}

static int
compare_shares(const void *a, const void *b)
{
	const unsigned long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
forge_tickets(struct rig *rig)
{
	struct raw r[SESSIONS];
	unsigned long shares[LOOKS];
	char name[64];
	int i, k;

	for (i = 0; i < SESSIONS; i++) {
		snprintf(name, sizeof name, "/ticket%d.", i);
		peer_connect_v1(&r[i], rig);
		peer_open_many(&r[i], name, FILES, 0);
	}
	atomic_store(&rig->shared->notes[NOTE_BEFORE], measure_share(rig));
	for (i = 0; i < SESSIONS; i++)
		for (k = 0; k < FILES; k++) {
			snprintf(name, sizeof name, "ticket%d.%d", i, k);
			forge(&rig->daemon, name);
		}
	rig_restart(rig);
	/* The median: a window in which the machine delayed this process says little. */
	for (i = 0; i < LOOKS; i++)
		shares[i] = measure_share(rig);
	qsort(shares, LOOKS, sizeof shares[0], compare_shares);
	atomic_store(&rig->shared->notes[NOTE_AFTER], shares[LOOKS / 2]);
	while (rig_is_on(rig))
		patience_breathe();
	for (i = 0; i < SESSIONS; i++)
		raw_close(&r[i]);
}

static void
expect_small_share(struct rig *rig)
{
	unsigned long before = atomic_load(&rig->shared->notes[NOTE_BEFORE]);
	unsigned long after = atomic_load(&rig->shared->notes[NOTE_AFTER]);

	print_message("# the server's share of a processor: %lu %%, with forged tickets %lu %%\n",
	    before, after);
	if (after > before + SHARE_MOST)
		report_fault(
		    "the server's share of a processor: expected at most %lu %%, got %lu %%",
		    before + SHARE_MOST, after);
}

/* Foreign files. */

#define FOREIGN "not the server's"

enum ending { BY_CLOSE, BY_DISCONNECTION, BY_EXIT };

static struct daemon server;

/* Puts a foreign file in the place of one of the server's. */
static void
replace(const char *name)
{
	char path[PATH_SIZE];
	int fd;

	snprintf(path, sizeof path, "%s/%s", server.memdir, name);
	assert_int_equal(unlink(path), 0);
	fd = open_host_file(&server, name, O_WRONLY | O_CREAT | O_EXCL);
	assert_int_equal(write(fd, FOREIGN, sizeof FOREIGN), sizeof FOREIGN);
	close(fd);
}

static void
expect_foreign(const char *name)
{
	char path[PATH_SIZE], content[sizeof FOREIGN + 1] = "";
	int fd;

	snprintf(path, sizeof path, "%s/%s", server.memdir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: a foreign file in the place of the server's was removed", name);
	assert_int_equal(read(fd, content, sizeof content), sizeof FOREIGN);
	assert_string_equal(content, FOREIGN);
	close(fd);
}

/* The memory file ends; the server has removed all that it will when it has exited. */
static void
keep_foreign_files(enum ending ending)
{
	struct raw r;

	daemon_open(&server, &(struct daemon_config){ .is_smuf = true });
	raw_connect(&r, &server);
	raw_begin(&r, true);
	assert_int_equal(raw_open(&r, "/lock", 8192), 0);
	assert_int_equal(raw_open(&r, "/segment", 8192), 1);
	replace("lock");
	replace("segment" FILENAME_SUFFIX);
	if (ending == BY_CLOSE) {
		assert_string_equal(RAW_ASK(&r, OP_CLOSE, "w", UINT32_C(0)), "0");
		assert_string_equal(RAW_ASK(&r, OP_CLOSE, "w", UINT32_C(1)), "0");
	} else if (ending == BY_DISCONNECTION) {
		raw_close(&r);
	}
	daemon_stop(&server);
	expect_foreign("lock");
	expect_foreign("segment" FILENAME_SUFFIX);
	raw_close(&r);
}

static void
a_close_removes_no_foreign_file(void **state)
{
	(void)state;
	keep_foreign_files(BY_CLOSE);
}

static void
a_disconnection_removes_no_foreign_file(void **state)
{
	(void)state;
	keep_foreign_files(BY_DISCONNECTION);
}

static void
the_servers_end_removes_no_foreign_file(void **state)
{
	(void)state;
	keep_foreign_files(BY_EXIT);
}

static int
clear(void **state)
{
	(void)state;
	raw_abandon();
	daemon_fini(&server);
	return 0;
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "6144 forged tickets of version 1",
		    .daemons = RIG_SMUF,
		    .run = forge_tickets,
		    .check = expect_small_share,
		    .prepares_ms = PREPARE_MS },
	};
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_close_removes_no_foreign_file, clear),
		cmocka_unit_test_teardown(a_disconnection_removes_no_foreign_file, clear),
		cmocka_unit_test_teardown(the_servers_end_removes_no_foreign_file, clear),
	};
	int failed = cmocka_run_group_tests_name("foreign files", tests, NULL, NULL);

	return failed + rig_main("tickets", attacks, sizeof attacks / sizeof attacks[0]);
}
