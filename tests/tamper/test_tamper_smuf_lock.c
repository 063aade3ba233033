/*
 * The lock file of smuf, which clients of version 2 do not read: whatever the host makes of it, the
 * lock works. The server writes its tickets to a file that is its own; to any other file it writes
 * nothing, and logs that once for each file, up to the limit of lines about one peer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/loglimit.h"
#include "common/base/size.h"
#include "common/host/slotfile.h"
#include "smuf/layout.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/tamper/adversary.h"
#include "tests/tamper/matrix.h"
#include "tests/tamper/party.h"

enum { SEGMENT = SIZE_BLOCK, FILES = 87, NAME_SIZE = 24, PATH_SIZE = 64 };

/* A memory file that does not change: the host's replacement for others. */
#define ANOTHER "another"

/* The one that changes last. */
#define LAST "last"

static struct daemon server;
static struct party keeper;

struct trial {
	const struct matrix_case *c;
	char name[NAME_SIZE], path[PATH_SIZE];
	struct adversary host;
	struct sm_file *file;
	bool is_ours;                       /* the server may write to it */
	uint8_t tampered[LAYOUT_LOCK_SIZE]; /* else: the regular file that was there */
	ssize_t size;
};

static ssize_t
read_lock_file(const struct trial *t, uint8_t bytes[LAYOUT_LOCK_SIZE])
{
	const struct adversary_file *f = &t->host.files[MATRIX_LOCK];
	struct stat st;
	FILE *file;
	size_t n;

	if (lstat(f->path, &st) != 0 || !S_ISREG(st.st_mode))
		return -1;
	file = fopen(f->path, "re");
	assert_non_null(file);
	n = fread(bytes, 1, LAYOUT_LOCK_SIZE, file);
	fclose(file);
	return (ssize_t)n;
}

static void
begin_trial(struct trial *t, const struct matrix_case *c, struct sm *sm, unsigned n)
{
	static const char zeros[SIZE_BLOCK];
	const uint8_t *truth;
	void *map;

	t->c = c;
	snprintf(t->name, sizeof t->name, "t%u", n);
	snprintf(t->path, sizeof t->path, CLIENT_MOUNT "/%s", t->name);
	t->file = sm_open(sm, t->path);
	assert_non_null(t->file);
	map = sm_map(t->file, NULL, SEGMENT);
	assert_non_null(map);
	assert_memory_equal(map, zeros, sizeof zeros);
	adversary_begin(&t->host, &server, t->name, ANOTHER);
	adversary_look(&t->host, MATRIX_EMPTY);
	adversary_look(&t->host, MATRIX_FIRST);
	adversary_look(&t->host, MATRIX_NOW);
	adversary_tamper(&t->host, c);
	t->size = read_lock_file(t, t->tampered);
	truth = t->host.files[MATRIX_LOCK].past[MATRIX_NOW];
	t->is_ours = t->size == LAYOUT_LOCK_SIZE &&
	    memcmp(t->tampered + LAYOUT_MAGIC_AT, truth + LAYOUT_MAGIC_AT,
		LAYOUT_SEGMENT_AT - LAYOUT_MAGIC_AT) == 0;
	assert_int_equal(sm_lock(t->file), 0);
	assert_int_equal(sm_unlock(t->file), 0);
	assert_int_equal(sm_lock(t->file), 0);
	assert_int_equal(sm_unlock(t->file), 0);
}

/* Waits until the tickets are in that lock file, after which the server does not write there. */
static void
await_rest(const char *name)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	uint8_t bytes[LAYOUT_LOCK_SIZE];
	struct trial t = { 0 };
	uint32_t turn = 0;

	snprintf(t.host.files[MATRIX_LOCK].path, ADVERSARY_PATH_SIZE, "%s/%s", server.memdir, name);
	while (turn == 0) {
		if (clock_now() > deadline)
			fail_msg("the server has not written its tickets");
		patience_breathe();
		assert_int_equal(read_lock_file(&t, bytes), LAYOUT_LOCK_SIZE);
		memcpy(&turn, bytes + LAYOUT_TURN_AT, sizeof turn);
	}
}

/*
 * Our file gets the tickets. Any other file stays; the log has one line about it at most, since it
 * has no more than some about one peer.
 */
static void
end_trial(struct trial *t, size_t begin)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	uint8_t there[LAYOUT_LOCK_SIZE];
	uint32_t words[2] = { 0, 0 };
	char line[PATH_SIZE + 16];

	while (t->is_ours && (words[0] != 2 || words[1] != 2)) {
		if (clock_now() > deadline)
			fail_msg("%s: ticket and turn: expected 2 and 2, got %u and %u",
			    t->c->words, words[0], words[1]);
		patience_breathe();
		assert_int_equal(read_lock_file(t, there), LAYOUT_LOCK_SIZE);
		memcpy(words, there, sizeof words);
	}
	if (!t->is_ours) {
		snprintf(line, sizeof line, "lock file of /%s is ", t->name);
		assert_in_range(daemon_log_count(&server, begin, line, "warning"), 0, 1);
		if (read_lock_file(t, there) != t->size ||
		    (t->size > 0 && memcmp(there, t->tampered, (size_t)t->size) != 0))
			fail_msg("%s: the server has written to a file that is not its own",
			    t->c->words);
	}
	adversary_restore(&t->host);
	adversary_end(&t->host);
	assert_int_equal(sm_close(t->file), 0);
}

static void
the_server_writes_to_its_own_lock_files_only(void **state)
{
	struct matrix_case *cases, *c;
	size_t count, begin = daemon_log_mark(&server);
	struct sm *sm = client_create(&server);
	struct trial *trials;
	uint8_t before[LAYOUT_LOCK_SIZE], after[LAYOUT_LOCK_SIZE];
	struct trial another = { 0 };
	unsigned n = 0, ours = 0, i;

	(void)state;
	assert_non_null(sm);
	cases = matrix_generate(SEGMENT, &count);
	trials = calloc(count, sizeof *trials);
	assert_non_null(trials);
	snprintf(another.host.files[MATRIX_LOCK].path, ADVERSARY_PATH_SIZE, "%s/" ANOTHER,
	    server.memdir);
	assert_int_equal(read_lock_file(&another, before), LAYOUT_LOCK_SIZE);
	for (c = cases; c < cases + count && c->file == MATRIX_LOCK; c++)
		if (!matrix_is_shaking(c) && c->op != MATRIX_FORBID) {
			begin_trial(&trials[n], c, sm, n);
			ours += trials[n++].is_ours;
		}
	/* The server visits the files in the order in which they changed. */
	party_rest(&keeper, CLIENT_MOUNT "/" LAST);
	await_rest(LAST);
	assert_in_range(daemon_log_count(&server, begin, "lock file of /", "warning"),
	    LOGLIMIT_BURST, n - ours);
	for (i = 0; i < n; i++)
		end_trial(&trials[i], begin);
	assert_int_equal(read_lock_file(&another, after), LAYOUT_LOCK_SIZE);
	assert_memory_equal(before, after, LAYOUT_LOCK_SIZE);
	print_message("# %u lock files: %u still the server's, %u not\n", n, ours, n - ours);
	assert_int_equal(n, FILES);
	assert_true(ours > 0 && ours < n);
	free(trials);
	free(cases);
	sm_free(sm);
}

static int
begin_all(void **state)
{
	(void)state;
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true, .has_keys = true });
	party_begin(&keeper, "keeper", &server, SEGMENT);
	party_rest(&keeper, CLIENT_MOUNT "/" ANOTHER);
	await_rest(ANOTHER);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	party_end(&keeper);
	daemon_close(&server);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_server_writes_to_its_own_lock_files_only),
	};

	return cmocka_run_group_tests_name("tamper smuf lock", tests, begin_all, end_all);
}
