/*
 * The tamper matrix of smuf: whatever the host does to a memory file's files, a client sees exactly
 * the last published state, or gets an error (EBADMSG, EIO) with its mapping untouched and the lock
 * released.
 *
 * The test computes the result of each case from the bytes that a client can read then: a block
 * that its grant names is EBADMSG when it differs from the published one, and EIO when it cannot be
 * read; all other bytes do not matter.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/loglimit.h"
#include "common/host/slotfile.h"
#include "smuf/layout.h"
#include "tests/stress/daemon.h"
#include "tests/tamper/adversary.h"
#include "tests/tamper/matrix.h"
#include "tests/tamper/party.h"

enum {
	BLOCKS = 5,
	SHORT = 1000, /* bytes of the last one */
	SEGMENT = (BLOCKS - 1) * SIZE_BLOCK + SHORT,
	CASES = 815, /* the number of cases; it changes with every part or way */
	ROUNDS = 25, /* of a shaking case */
	NAME_SIZE = 24,
	PATH_SIZE = 64
};

/* How often each block was published, and whether the stale reader has missed the last time. */
static const struct history {
	unsigned times;
	bool is_recent;
} history[BLOCKS] = {
	{ 0, false }, /* never */
	{ 1, false }, /* by the writer, */
	{ 2, true },  /* twice; */
	{ 2, true },  /* by the writer, then by the other process, */
	{ 1, true },  /* by the other process; the short block */
};

/* A memory file that does not change: the host's replacement for others. */
#define ANOTHER "another"

enum reader { STALE, VOID, LATE, READERS };

static struct daemon server;
static struct party writer, keeper, readers[READERS];
static struct adversary host;
static uint8_t model[SEGMENT]; /* the last published state */
static char name[NAME_SIZE];   /* of the case's file, without a / */
static unsigned number;        /* of the case */
static const struct matrix_case *now;
static size_t mark; /* of the log */
static unsigned unverified;

static unsigned told; /* lines about them, in all cases */

static struct {
	unsigned cases, exact, unverified, unreadable;
} tally;

/* A second process, which publishes too. */
static struct {
	pid_t pid;
	int socket;
} second;

static void
publish_second(struct party *p, unsigned n)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof path, CLIENT_MOUNT "/m%u", n);
	party_open(p, path);
	assert_int_equal(party_map(p), 0);
	assert_int_equal(party_lock(p, false), 0);
	party_fill(p->map + 3 * SIZE_BLOCK, SIZE_BLOCK, n + 3);
	party_fill(p->map + 4 * SIZE_BLOCK, SHORT, n + 4);
	party_unlock(p);
	party_close(p);
}

static void
be_second(int socket)
{
	struct party p;
	unsigned n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A failure here must end this process, which else goes on with the tests. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	party_begin(&p, "the second process", &server, SEGMENT);
	while (read(socket, &n, sizeof n) == sizeof n) {
		publish_second(&p, n);
		if (write(socket, &n, sizeof n) != sizeof n)
			break;
	}
	party_end(&p);
	_exit(EXIT_SUCCESS);
}

static void
begin_second(void)
{
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	second.pid = fork();
	assert_int_not_equal(second.pid, -1);
	if (second.pid == 0) {
		close(sockets[0]);
		be_second(sockets[1]);
	}
	close(sockets[1]);
	second.socket = sockets[0];
}

static void
let_second_publish(void)
{
	unsigned n = number;

	assert_int_equal(write(second.socket, &n, sizeof n), sizeof n);
	assert_int_equal(read(second.socket, &n, sizeof n), sizeof n);
}

/* The file of a case. */

static void
expect_lock(struct party *p, bool is_shared, const char *when)
{
	int error = party_lock(p, is_shared);

	if (error != 0)
		fail_msg("%s: %s: sm_lock %s: %s", now->words, p->words, when, sm_error(p->sm));
	party_expect(p, model, now->words);
	party_unlock(p);
}

static void
begin_case(const struct matrix_case *c)
{
	char path[PATH_SIZE];
	enum reader r;
	uint32_t i;

	now = c;
	number++;
	snprintf(name, sizeof name, "m%u", number);
	snprintf(path, sizeof path, CLIENT_MOUNT "/%s", name);
	party_open(&writer, path);
	assert_int_equal(party_map(&writer), 0);
	memset(writer.map, 0, SEGMENT);
	memset(model, 0, SEGMENT);
	adversary_begin(&host, &server, name, ANOTHER);
	adversary_look(&host, MATRIX_EMPTY);
	for (i = 1; i < 4; i++)
		party_fill(model + i * SIZE_BLOCK, SIZE_BLOCK, number + 100 * i);
	party_publish(&writer, model);
	adversary_look(&host, MATRIX_FIRST);
	for (r = STALE; r < READERS; r++)
		party_open(&readers[r], path);
	assert_int_equal(party_map(&readers[STALE]), 0);
	assert_int_equal(party_map(&readers[VOID]), 0);
	expect_lock(&readers[STALE], false, "before anything was done");
	let_second_publish();
	party_fill(model + 3 * SIZE_BLOCK, SIZE_BLOCK, number + 3);
	party_fill(model + 4 * SIZE_BLOCK, SHORT, number + 4);
	party_fill(model + 2 * SIZE_BLOCK, SIZE_BLOCK, number + 2);
	party_publish(&writer, model);
	adversary_look(&host, MATRIX_NOW);
	mark = daemon_log_mark(&server);
	unverified = 0;
}

static void
end_case(void)
{
	enum reader r;

	adversary_end(&host);
	for (r = STALE; r < READERS; r++)
		party_close(&readers[r]);
	party_close(&writer);
}

/*
 * The log has a line with peer and file for each grant that did not verify, but for those above the
 * limit of lines about one peer (loglimit.h), and no other, except about the lock file.
 */
static void
check_log(void)
{
	char words[PATH_SIZE];
	unsigned lines, lost;

	snprintf(words, sizeof words, "blocks of /%s did not verify", name);
	lines = daemon_log_count(&server, mark, words, "warning: client ");
	lost = now->file == MATRIX_LOCK ?
	    daemon_log_count(&server, mark, "the host's lock file of ", "") :
	    0;
	told += lines;
	if (lines <= unverified && daemon_log_complaints(&server, mark) == lines + lost)
		return;
	daemon_log_show(&server, mark);
	fail_msg("%s: expected at most %u lines \"%s\" and no other, got %u", now->words,
	    unverified, words, lines);
}

/* Root may read every file, unless it drops that capability. */
static void
set_override(bool is_on)
{
	const uint32_t bits = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (geteuid() != 0)
		return;
	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	data[0].effective = is_on ? data[0].effective | (data[0].permitted & bits) :
				    data[0].effective & ~bits;
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

/*
 * True when the lock file is whole but belongs to another file: a client that maps now is told that
 * the directory is not the server's.
 */
static bool
is_of_another(void)
{
	const uint8_t *ours = host.files[MATRIX_LOCK].past[MATRIX_NOW];
	uint8_t head[LAYOUT_LIFE_AT + 8];
	char path[ADVERSARY_PATH_SIZE];
	struct stat st;
	bool is_other;
	int fd;

	snprintf(path, sizeof path, "%s/%s", server.memdir, name);
	set_override(false);
	fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	set_override(true);
	if (fd < 0)
		return false;
	is_other = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= LAYOUT_LOCK_SIZE &&
	    pread(fd, head, sizeof head, 0) == sizeof head &&
	    memcmp(head + LAYOUT_MAGIC_AT, LAYOUT_MAGIC, sizeof LAYOUT_MAGIC - 1) == 0 &&
	    memcmp(head + LAYOUT_LIFE_AT, ours + LAYOUT_LIFE_AT, 8) != 0;
	close(fd);
	return is_other;
}

/* Computes the result of the case for a reader: 0, -EBADMSG or -EIO. */
static int
foretell(enum reader r)
{
	uint8_t there[SIZE_BLOCK], sealed[SIZE_BLOCK];
	uint32_t block, size;
	uint64_t at;
	int error;

	if (r == LATE && (adversary_read(&host, true, 0, there, 0) != 0 || is_of_another()))
		return -EIO;
	for (block = 0; block < BLOCKS; block++) {
		if (history[block].times == 0 || (r == STALE && !history[block].is_recent))
			continue;
		size = size_of_block(SEGMENT, block);
		/* The first release went to slot 0, the second to slot 1. */
		at = slotfile_offset(block, history[block].times - 1);
		memcpy(sealed, host.files[MATRIX_SEGMENT].past[MATRIX_NOW] + at, size);
		error = adversary_read(&host, r == LATE, at, there, size);
		if (error != 0)
			return error;
		if (memcmp(there, sealed, size) != 0)
			return -EBADMSG;
	}
	return 0;
}

static void
count_outcome(int error)
{
	tally.cases++;
	tally.exact += error == 0;
	tally.unverified += error == -EBADMSG;
	tally.unreadable += error == -EIO;
	unverified += error == -EBADMSG;
}

/* Maps, unless that was done before, and locks. Returns 0 when the reader sees the right bytes. */
static int
attempt(struct party *p, bool is_shared)
{
	int error = p->map != NULL ? 0 : party_map(p);

	if (error == 0) {
		error = party_lock(p, is_shared);
		if (error == 0) {
			party_expect(p, model, now->words);
			party_unlock(p);
		}
	}
	return error;
}

/* Runs a case for one reader; the other clients go on. */
static void
try_reader(enum reader r)
{
	struct party *p = &readers[r];
	int expected = foretell(r), error;

	set_override(false);
	error = attempt(p, number % 2 == 0);
	set_override(true);
	if (error != expected)
		fail_msg("%s: the %s reader: expected %s, got %s", now->words, p->words,
		    expected == 0 ? "success" : strerror(-expected),
		    error == 0 ? "success" : sm_error(p->sm));
	count_outcome(error);
	expect_lock(&writer, false, "after somebody else's");
	party_serve_other(p);
}

/* After the restoration all clients see the published state again. */
static void
expect_recovery(void)
{
	enum reader r;

	for (r = STALE; r < READERS; r++) {
		if (readers[r].map == NULL && party_map(&readers[r]) != 0)
			fail_msg("%s: when the true bytes were back: %s", now->words,
			    sm_error(readers[r].sm));
		expect_lock(&readers[r], false, "when the true bytes were back");
	}
	party_fill(model, SEGMENT, number + 1000);
	party_publish(&readers[LATE], model);
	expect_lock(&readers[STALE], true, "when the true bytes were back");
	expect_lock(&writer, false, "when the true bytes were back");
}

static void
run_still_case(const struct matrix_case *c)
{
	enum reader r;

	begin_case(c);
	adversary_tamper(&host, c);
	for (r = STALE; r < READERS; r++)
		try_reader(r);
	check_log();
	adversary_restore(&host);
	expect_recovery();
	end_case();
}

/* Cases during which the host tampers all the time. */

/* True when the case changes bytes that a reader with a void replica reads. */
static bool
matters(const struct matrix_case *c)
{
	uint32_t block;
	uint64_t at;

	for (block = 0; block < BLOCKS && c->file == MATRIX_SEGMENT; block++) {
		at = slotfile_offset(block, history[block].times - 1);
		if (history[block].times > 0 && c->from < at + size_of_block(SEGMENT, block) &&
		    at < c->from + c->length)
			return true;
	}
	return false;
}

static void
expect_outcome(const struct party *p, int error)
{
	bool is_cutting = now->op == MATRIX_CUT_READERS || now->op == MATRIX_CUT_SEALER;

	/*
	 * While the lock file is another life's for a moment, a client that maps takes the server
	 * for another.
	 */
	if (error != 0 && error != -EBADMSG &&
	    !((is_cutting || now->file == MATRIX_LOCK) && error == -EIO))
		fail_msg("%s: the %s reader: %s", now->words, p->words, sm_error(p->sm));
	unverified += error == -EBADMSG;
}

static void
read_shaken(const struct matrix_case *c)
{
	struct party *p = &readers[LATE];
	char path[PATH_SIZE];
	int i, error, worst = 0;

	snprintf(path, sizeof path, CLIENT_MOUNT "/%s", name);
	error = attempt(&readers[STALE], false);
	expect_outcome(&readers[STALE], error);
	for (i = 0; i < ROUNDS; i++) {
		error = attempt(p, i % 2 == 0);
		expect_outcome(p, error);
		if (error != 0 && !matters(c) && !(c->file == MATRIX_LOCK && error == -EIO))
			fail_msg("%s, which is no concern of the reader: %s", c->words,
			    sm_error(p->sm));
		worst = error != 0 ? error : worst;
		expect_lock(&writer, false, "after somebody else's");
		party_serve_other(p);
		party_close(p);
		party_open(p, path);
	}
	count_outcome(worst);
	unverified -= worst == -EBADMSG; /* counted above */
}

/* Returns false when the writer could not seal, so that the published state is lost. */
static bool
seal_shaken(void)
{
	struct party *p = &readers[STALE];
	bool has_lost = false;
	uint8_t next[SEGMENT];
	int i, error, worst = 0;

	for (i = 0; i < ROUNDS && !has_lost; i++) {
		party_fill(next, SEGMENT, number + 2000 + (unsigned)i);
		assert_int_equal(party_lock(&writer, false), 0);
		party_expect(&writer, model, now->words);
		memcpy(writer.map, next, SEGMENT);
		has_lost = sm_unlock(writer.file) != 0;
		if (!has_lost)
			memcpy(model, next, SEGMENT);
		else if (errno != EIO || now->op != MATRIX_CUT_SEALER)
			fail_msg("%s: sm_unlock: %s", now->words, sm_error(writer.sm));
		error = attempt(p, i % 2 == 0);
		expect_outcome(p, error);
		worst = error != 0 ? error : worst;
		party_serve_other(p);
	}
	count_outcome(worst);
	unverified -= worst == -EBADMSG;
	return !has_lost;
}

static void
run_shaking_case(const struct matrix_case *c)
{
	bool is_sealer = c->op == MATRIX_SHAKE_SEALER || c->op == MATRIX_CUT_SEALER;
	bool is_whole = true;

	begin_case(c);
	adversary_tamper(&host, c);
	if (is_sealer)
		is_whole = seal_shaken();
	else
		read_shaken(c);
	adversary_stop(&host);
	check_log();
	if (!is_sealer) {
		adversary_restore(&host);
	} else if (c->file == MATRIX_LOCK) {
		assert_int_equal(pwrite(host.files[MATRIX_LOCK].fd,
				     host.files[MATRIX_LOCK].past[MATRIX_NOW], LAYOUT_LOCK_SIZE, 0),
		    LAYOUT_LOCK_SIZE);
	} else if (is_whole) {
		/* Only the writer has the true bytes; its next release restores the file. */
		party_fill(model, SEGMENT, number + 3000);
		party_publish(&writer, model);
	}
	if (is_whole)
		expect_recovery();
	end_case();
}

static void
a_client_sees_what_was_published_last_or_an_error(void **state)
{
	struct matrix_case *cases, *c;
	unsigned expected = 0;
	size_t count;

	(void)state;
	cases = matrix_generate(SEGMENT, &count);
	for (c = cases; c < cases + count; c++) {
		expected += matrix_is_shaking(c) ? 1 : READERS;
		if (matrix_is_shaking(c))
			run_shaking_case(c);
		else
			run_still_case(c);
		assert_int_equal(waitpid(server.pid, NULL, WNOHANG), 0);
	}
	free(cases);
	print_message("# %u cases: %u saw what was published last, %u EBADMSG, %u EIO\n",
	    tally.cases, tally.exact, tally.unverified, tally.unreadable);
	assert_int_equal(tally.cases, expected);
	assert_int_equal(tally.cases, tally.exact + tally.unverified + tally.unreadable);
	assert_int_equal(tally.cases, CASES);
	assert_true(told >= LOGLIMIT_BURST);
}

static int
begin_all(void **state)
{
	static const char *const words[READERS] = { "stale", "void", "late" };
	enum reader r;

	(void)state;
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true, .has_keys = true });
	begin_second();
	party_begin(&keeper, "keeper", &server, SEGMENT);
	party_rest(&keeper, CLIENT_MOUNT "/" ANOTHER);
	party_begin(&writer, "writer", &server, SEGMENT);
	for (r = STALE; r < READERS; r++)
		party_begin(&readers[r], words[r], &server, SEGMENT);
	return 0;
}

static int
end_all(void **state)
{
	enum reader r;

	(void)state;
	party_end(&keeper);
	party_end(&writer);
	for (r = STALE; r < READERS; r++)
		party_end(&readers[r]);
	close(second.socket);
	assert_int_equal(waitpid(second.pid, NULL, 0), second.pid);
	daemon_close(&server);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_sees_what_was_published_last_or_an_error),
	};

	return cmocka_run_group_tests_name("tamper smuf", tests, begin_all, end_all);
}
