/*
 * A program that closes all descriptors and opens its own under their numbers: over every kind of
 * mount the library writes to none of these, reads from none, shuts none down and closes none
 * (ownfd.h). The call that needs a lost descriptor fails with EBADF and says why, the server
 * suspects nobody, and opening the file again gives a usable one. Nor does it take the numbers of
 * standard streams that are closed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"

#define WORDS "the program has closed a descriptor of the library"
#define NOTE "the program's own"

enum {
	NUMBERS = 64, /* descriptors of the program */
	OWN_SIZE = 128 * 1024,
	OWN_BYTE = 0x3c
};

enum kind { SMDISH, SMDISH_PLAIN, SMUF, SMC, KINDS };

/* When all descriptors are closed. */
enum moment { IDLE, HOLDING, MOMENTS };

/* What the program opens then. */
enum own { NOTHING, SOCKETS, FILES, OWNS };

static const char *const kind_names[] = { "smdish", "smdish plain", "smuf", "smc" };

static struct daemon daemons[SMC];
static char name[16]; /* of the memory file: each test has its own, which nobody has had open */
static struct smc_world world;
static atomic_bool *flags; /* two, shared by the processes of a test */

/* The program's own descriptors. */
static struct {
	enum own what;
	int numbers[NUMBERS];
	struct stat stats[NUMBERS];
	char path[SMC_PATH_SIZE + 32];
} own;

static void
choose_name(void)
{
	static unsigned number;

	snprintf(name, sizeof name, "f%u", ++number);
}

/* Opens and maps the memory file in a set. */
static bool
open_in(struct client *p, struct sm *sm, enum kind kind)
{
	char path[sizeof name + 8];

	snprintf(path, sizeof path, "%s/%s", kind == SMC ? SMC_MOUNT : CLIENT_MOUNT, name);
	*p = (struct client){ .sm = sm };
	return client_open_file(p, path, SMC_SEGMENT);
}

/* The same in a set of its own. */
static bool
join(struct client *p, enum kind kind)
{
	return open_in(p,
	    kind == SMC ? smc_mount(&world, world.key) : client_create(&daemons[kind]), kind);
}

/* Increments the counter, which has that value. Returns 0 or an errno. */
static int
section(struct client *p, int64_t expected)
{
	int error = client_lock_within(p, PATIENCE_MS);

	if (error != 0)
		return error;
	if (smc_value(p->segment) != expected) {
		(void)sm_unlock(p->file);
		return EILSEQ;
	}
	smc_count(p->segment);
	return sm_unlock(p->file) == 0 ? 0 : errno;
}

/* Both ends belong to the program, and at each there is a note to be read. */
static void
open_pair(int ends[2])
{
	child_expect(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
	child_expect(write(ends[0], NOTE, sizeof NOTE) == sizeof NOTE &&
		write(ends[1], NOTE, sizeof NOTE) == sizeof NOTE,
	    "a note");
}

/* The program opens so much that all numbers that were open before are now its own. */
static void
open_own(enum own what)
{
	int i;

	own.what = what;
	if (what == FILES) {
		snprintf(own.path, sizeof own.path, "%s/own.%ld", world.dir, (long)getpid());
		child_expect(smc_write_file(own.path, OWN_BYTE, OWN_SIZE), "a file");
	}
	for (i = 0; what != NOTHING && i < NUMBERS; i++) {
		if (what == FILES)
			own.numbers[i] = open(own.path, O_RDWR);
		else if (i % 2 == 0)
			open_pair(&own.numbers[i]);
	}
	for (i = 0; what != NOTHING && i < NUMBERS; i++)
		child_expect(own.numbers[i] >= 0 && fstat(own.numbers[i], &own.stats[i]) == 0,
		    "a descriptor of the program");
}

static void
expect_socket_untouched(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
	char note[sizeof NOTE] = "";
	int size = -1;

	child_expect(ioctl(fd, FIONREAD, &size) == 0 && size >= (int)sizeof NOTE,
	    "no byte was read from the program's socket");
	child_expect(size == sizeof NOTE, "no byte was written to the program's socket");
	child_expect(recv(fd, note, sizeof note, MSG_PEEK) == sizeof note &&
		strcmp(note, NOTE) == 0,
	    "its note is in the program's socket");
	child_expect(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT),
	    "the program's socket was not shut down");
}

static void
expect_file_untouched(int fd)
{
	static uint8_t bytes[OWN_SIZE + 1];
	size_t n;

	child_expect(pread(fd, bytes, sizeof bytes, 0) == OWN_SIZE, "the length of its file");
	for (n = 0; n < OWN_SIZE; n++)
		child_expect(bytes[n] == OWN_BYTE, "no byte of the program's file was written");
}

static void
expect_own_untouched(void)
{
	struct stat st;
	int i;

	for (i = 0; own.what != NOTHING && i < NUMBERS; i++) {
		child_expect(fstat(own.numbers[i], &st) == 0 && st.st_dev == own.stats[i].st_dev &&
			st.st_ino == own.stats[i].st_ino,
		    "the program's descriptor is still open");
		if (own.what == SOCKETS)
			expect_socket_untouched(own.numbers[i]);
	}
	if (own.what == FILES)
		expect_file_untouched(own.numbers[0]);
}

static void
close_all(enum own what)
{
	closefrom(3);
	open_own(what);
}

/* A critical section that fails: everything that it needs is lost, at once or before its end. */
static void
lose(struct client *p, enum moment moment, enum own what)
{
	int error;

	if (moment == IDLE)
		close_all(what);
	error = client_lock_within(p, PATIENCE_MS);
	child_expect(error == 0 || moment == IDLE, "the lock");
	if (error == 0) {
		smc_count(p->segment);
		if (moment == HOLDING)
			close_all(what);
		error = sm_unlock(p->file) == 0 ? 0 : errno;
	}
	child_expect(error == EBADF, "EBADF");
	child_expect(strstr(sm_error(p->sm), WORDS) != NULL, "words that say what happened");
	expect_own_untouched();
}

/* In a process of its own: as the first comment says. */
static void __attribute__((noreturn)) live_on(enum kind kind, enum moment moment, enum own what)
{
	struct client p, again;
	struct sm_stat stat;
	void *address;

	child_expect(join(&p, kind), "it can be opened");
	child_expect(section(&p, 0) == 0, "the first section");
	lose(&p, moment, what);
	(void)sm_stat(p.file, &stat);
	(void)sm_trylock(p.file);
	(void)sm_unlock(p.file);
	(void)sm_map(p.file, NULL, SMC_SEGMENT);
	expect_own_untouched();
	child_expect(open_in(&again, p.sm, kind), "opening connects anew");
	child_expect(section(&again, 1) == 0, "nothing was published but the first section");
	expect_own_untouched();
	address = p.segment;
	(void)sm_close(p.file);
	(void)sm_unmap(p.sm, address);
	expect_own_untouched();
	child_expect(section(&again, 2) == 0, "the new handle lives on");
	client_close(&p);
	expect_own_untouched();
	_exit(EXIT_SUCCESS);
}

static void
run(enum kind kind, enum moment moment, enum own what)
{
	size_t mark = kind == SMC ? 0 : daemon_log_mark(&daemons[kind]);
	struct client keeper; /* the file ends with its last process */
	pid_t pid;

	choose_name();
	assert_true(join(&keeper, kind));
	pid = child_begin();
	if (pid == 0)
		live_on(kind, moment, what);
	if (!child_has_ended_well(pid))
		fail_msg("%s, closed while %s, then %s: see above", kind_names[kind],
		    moment == IDLE ? "idle" : "holding the lock",
		    what == NOTHING     ? "nothing" :
			what == SOCKETS ? "sockets" :
					  "files");
	client_close(&keeper);
	if (kind != SMC)
		daemon_log_expect(&daemons[kind], mark, 0);
}

static void
what_the_program_opens_is_its_own(void **state)
{
	int kind, moment, what;

	(void)state;
	for (kind = 0; kind < KINDS; kind++)
		for (moment = 0; moment < MOMENTS; moment++)
			for (what = 0; what < OWNS; what++)
				run((enum kind)kind, (enum moment)moment, (enum own)what);
}

/*
 * A child of p's process closes all before its first call: connection and files that the parent has
 * opened for it are lost. With a server the child connects by itself, and so does its own child.
 */
static void __attribute__((noreturn))
live_on_after_fork(struct client *p, enum kind kind, enum own what)
{
	struct client again = *p;
	pid_t pid;

	close_all(what);
	if (kind == SMC) {
		child_expect(section(p, 1) == EBADF, "EBADF");
		child_expect(strstr(sm_error(p->sm), WORDS) != NULL,
		    "words that say what happened");
		expect_own_untouched();
		child_expect(open_in(&again, p->sm, kind), "opening it again");
	}
	child_expect(section(&again, 1) == 0, "the section after that");
	expect_own_untouched();
	pid = child_fork();
	if (pid == 0) {
		close_all(what);
		child_expect(kind == SMC || section(&again, 2) == 0, "a grandchild's section");
		expect_own_untouched();
		_exit(EXIT_SUCCESS);
	}
	child_expect(child_has_ended_well(pid), "the grandchild");
	client_close(p);
	expect_own_untouched();
	_exit(EXIT_SUCCESS);
}

static void
run_fork(enum kind kind, enum own what)
{
	size_t mark = kind == SMC ? 0 : daemon_log_mark(&daemons[kind]);
	struct client p;
	pid_t pid;

	choose_name();
	assert_true(join(&p, kind));
	assert_int_equal(section(&p, 0), 0);
	pid = child_begin();
	if (pid == 0)
		live_on_after_fork(&p, kind, what);
	if (!child_has_ended_well(pid))
		fail_msg("%s, a forked child: see above", kind_names[kind]);
	client_close(&p);
	if (kind != SMC)
		daemon_log_expect(&daemons[kind], mark, 0);
}

static void
what_a_forked_child_opens_is_its_own(void **state)
{
	int kind, what;

	(void)state;
	for (kind = 0; kind < KINDS; kind++)
		for (what = 0; what < OWNS; what++)
			run_fork((enum kind)kind, (enum own)what);
}

/* Waits until the file of p is open that often. */
static void
await_opens(struct client *p, uint32_t count)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct sm_stat stat;

	do {
		assert_int_equal(sm_stat(p->file, &stat), 0);
		if (stat.open_count == count)
			return;
		patience_breathe();
	} while (clock_now() < deadline);
	fail_msg("the file is open %u times, not %u", stat.open_count, count);
}

/* In a child that has lost its connection, and uses only some of its files before it forks. */
static void __attribute__((noreturn))
use_in_turn(struct client *first, struct client *second, struct client *third)
{
	struct sm_stat stat;
	pid_t pid;

	closefrom(3);
	child_expect(section(third, 1) == 0, "the third file");
	child_expect(sm_close(second->file) == 0, "the second one is closed unused");
	pid = child_fork();
	if (pid == 0) {
		child_expect(section(first, 1) == 0, "the first file, in its child");
		child_expect(section(third, 2) == 0, "the third one, in its child");
		_exit(EXIT_SUCCESS);
	}
	child_expect(child_has_ended_well(pid), "its child");
	child_expect(section(first, 2) == 0, "the first file");
	child_expect(sm_stat(first->file, &stat) == 0 && stat.open_count == 2, "two processes");
	_exit(EXIT_SUCCESS);
}

static void
a_child_that_has_lost_its_connection_mixes_no_files_up(void **state)
{
	struct client all[3] = { { 0 } };
	char path[sizeof name + 8];
	int kind, i;
	pid_t pid;

	(void)state;
	for (kind = 0; kind < SMC; kind++) {
		all[0].sm = client_create(&daemons[kind]);
		for (i = 0; i < 3; i++) {
			all[i].sm = all[0].sm;
			choose_name();
			snprintf(path, sizeof path, CLIENT_MOUNT "/%s", name);
			assert_true(client_open_file(&all[i], path, SMC_SEGMENT));
			assert_int_equal(section(&all[i], 0), 0);
		}
		pid = child_begin();
		if (pid == 0)
			use_in_turn(&all[0], &all[1], &all[2]);
		child_expect_success(pid);
		assert_int_equal(section(&all[0], 3), 0);
		client_close(&all[0]);
	}
}

/* The file has ended with the parent: what has its name now is another one. */
static void
a_child_that_has_lost_its_connection_finds_no_other_file(void **state)
{
	struct client p;
	int kind;
	pid_t pid;

	(void)state;
	for (kind = 0; kind < SMC; kind++) {
		choose_name();
		atomic_store(&flags[0], false);
		assert_true(join(&p, (enum kind)kind));
		assert_int_equal(section(&p, 0), 0);
		pid = child_begin();
		if (pid == 0) {
			closefrom(3);
			child_expect(child_await(&flags[0], PATIENCE_MS), "the parent's end");
			child_expect(section(&p, 1) == ESTALE, "ESTALE");
			child_expect(section(&p, 1) == ESTALE, "ESTALE again");
			child_expect(open_in(&p, p.sm, (enum kind)kind), "opening it again");
			child_expect(section(&p, 0) == 0, "the new file");
			_exit(EXIT_SUCCESS);
		}
		await_opens(&p, 1);
		client_close(&p);
		atomic_store(&flags[0], true);
		child_expect_success(pid);
	}
}

/*
 * The server is out of reach at a fork, so p's process keeps a descriptor that tells whether that
 * child lives, and the child one that ends with it. Then each closes all.
 */
static void __attribute__((noreturn))
fork_without_connection(struct client *p, enum kind kind, enum own what)
{
	char away[DAEMON_PATH_SIZE + 8];
	pid_t pid;

	snprintf(away, sizeof away, "%s.away", daemons[kind].socket);
	child_expect(rename(daemons[kind].socket, away) == 0, "a server out of reach");
	pid = child_fork();
	if (pid == 0) {
		close_all(what);
		child_expect(child_await(&flags[0], PATIENCE_MS), "the parent's word");
		child_expect(section(p, 1) == 0, "the child connects by itself");
		expect_own_untouched();
		_exit(EXIT_SUCCESS);
	}
	child_expect(rename(away, daemons[kind].socket) == 0, "a server in reach");
	close_all(what);
	atomic_store(&flags[0], true);
	child_expect(child_has_ended_well(pid), "the child");
	expect_own_untouched();
	pid = child_fork();
	if (pid == 0)
		_exit(EXIT_SUCCESS);
	child_expect(child_has_ended_well(pid), "another child");
	expect_own_untouched();
	client_close(p);
	expect_own_untouched();
	_exit(EXIT_SUCCESS);
}

static void
what_is_opened_while_a_child_has_no_connection_is_the_programs(void **state)
{
	struct client p, keeper;
	int kind, what;
	pid_t pid;

	(void)state;
	for (kind = 0; kind < SMC; kind++) {
		for (what = 0; what < OWNS; what++) {
			choose_name();
			assert_true(join(&keeper, (enum kind)kind));
			atomic_store(&flags[0], false);
			pid = child_begin();
			if (pid == 0) {
				child_expect(join(&p, (enum kind)kind) && section(&p, 0) == 0,
				    "the first section");
				fork_without_connection(&p, (enum kind)kind, (enum own)what);
			}
			if (!child_has_ended_well(pid))
				fail_msg("%s: see above", kind_names[kind]);
			client_close(&keeper);
		}
	}
}

/* Closes what is open on regular files, and opens the program's file under these numbers. */
static void
replace_files(void)
{
	struct stat st;
	int fd, other;

	snprintf(own.path, sizeof own.path, "%s/own.%ld", world.dir, (long)getpid());
	child_expect(smc_write_file(own.path, OWN_BYTE, OWN_SIZE), "a file");
	other = open(own.path, O_RDWR);
	child_expect(other >= 0, "a descriptor of the program");
	for (fd = 3; fd < other; fd++)
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
			child_expect(dup2(other, fd) == fd, "dup2");
	own.numbers[0] = other;
}

/*
 * Only the segment's file is lost, and another process has published: no block is read from the
 * program's file, and so the host is not accused of it.
 */
static void
a_block_of_the_programs_file_accuses_nobody(void **state)
{
	size_t mark = daemon_log_mark(&daemons[SMUF]);
	struct client p;
	pid_t pid;

	(void)state;
	choose_name();
	atomic_store(&flags[0], false);
	assert_true(join(&p, SMUF));
	pid = child_begin();
	if (pid == 0) {
		child_expect(join(&p, SMUF) && section(&p, 0) == 0, "the first section");
		replace_files();
		atomic_store(&flags[0], true);
		child_expect(child_await(&flags[1], PATIENCE_MS), "the other section");
		child_expect(section(&p, 2) == EBADF, "EBADF");
		child_expect(strstr(sm_error(p.sm), WORDS) != NULL, "words");
		child_expect(section(&p, 2) == 0, "the next lock opens the file again");
		expect_file_untouched(own.numbers[0]);
		_exit(EXIT_SUCCESS);
	}
	assert_true(child_await(&flags[0], PATIENCE_MS));
	assert_int_equal(section(&p, 1), 0);
	atomic_store(&flags[1], true);
	child_expect_success(pid);
	client_close(&p);
	daemon_log_expect(&daemons[SMUF], mark, 0);
}

static bool
has_streams(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return true;
	return false;
}

/* Started so, a program that prints writes to whatever has number 1. Its exit status tells. */
static void __attribute__((noreturn)) use_without_streams(enum kind kind)
{
	struct client p;
	int fd, status;
	pid_t pid;

	patience_alarm(PATIENCE_MS);
	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		(void)close(fd);
	if (!join(&p, kind) || section(&p, 0) != 0 || has_streams())
		_exit(1);
	pid = fork();
	if (pid == 0)
		_exit(section(&p, 1) == 0 && !has_streams() ? 0 : 1);
	if (waitpid(pid, &status, 0) != pid || status != 0 || has_streams())
		_exit(2);
	client_close(&p);
	_exit(0);
}

static void
the_numbers_of_the_standard_streams_stay_free(void **state)
{
	int kind, status;
	pid_t pid;

	(void)state;
	for (kind = 0; kind < KINDS; kind++) {
		choose_name();
		pid = child_begin();
		if (pid == 0)
			use_without_streams((enum kind)kind);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("%s: expected exit status 0, got wait status %#x",
			    kind_names[kind], (unsigned)status);
	}
}

static int
begin_all(void **state)
{
	static const struct daemon_config configs[] = {
		[SMDISH] = { .has_keys = true },
		[SMDISH_PLAIN] = { 0 },
		[SMUF] = { .has_keys = true, .is_smuf = true },
	};
	int kind;

	*state = &world;
	flags = child_share(2 * sizeof *flags);
	/* The log would need a descriptor that stays. */
	assert_int_equal(unsetenv("NONCE_LOG"), 0);
	smc_world_create(&world);
	for (kind = 0; kind < SMC; kind++)
		daemon_open(&daemons[kind], &configs[kind]);
	return 0;
}

static int
end_all(void **state)
{
	int kind;

	for (kind = 0; kind < SMC; kind++)
		daemon_close(&daemons[kind]);
	return smc_world_teardown(state);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_program_opens_is_its_own),
		cmocka_unit_test(what_a_forked_child_opens_is_its_own),
		cmocka_unit_test(a_child_that_has_lost_its_connection_mixes_no_files_up),
		cmocka_unit_test(a_child_that_has_lost_its_connection_finds_no_other_file),
		cmocka_unit_test(what_is_opened_while_a_child_has_no_connection_is_the_programs),
		cmocka_unit_test(a_block_of_the_programs_file_accuses_nobody),
		cmocka_unit_test(the_numbers_of_the_standard_streams_stay_free),
	};

	return cmocka_run_group_tests_name("descriptors", tests, begin_all, end_all);
}
