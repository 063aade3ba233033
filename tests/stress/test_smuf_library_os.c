/*
 * smuf where pread(2) and pwrite(2) do not work on the host's files, as on a mount of type
 * untrusted_shm of a library OS: the client works through mappings. Where mappings are silently
 * private, it reports that, and the remedy.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/hostile.h"
#include "tests/stress/libos.h"
#include "tests/stress/patience.h"

enum {
	BLOCKS = 3,
	SEGMENT = (BLOCKS - 1) * SIZE_BLOCK + 800,
	WORDS = SEGMENT / sizeof(uint64_t),
	TIMES = 1000,
	SEEN_ENOUGH = 300,
	SHAKE_MS = 3000
};

#define NAME "library"

static struct daemon server;
static struct client mine; /* of the test's own process */

/* Shared by parent and child. */
static struct page {
	_Atomic uint64_t published; /* the last published number */
	atomic_uint maps;           /* the child's shared mappings of files */
	atomic_uint exact, unverified;
	atomic_int is_over;
} * page;

static enum libos_mapping gives;

void *fake_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset) __asm__("mmap");

void *
fake_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	if ((flags & MAP_TYPE) == MAP_SHARED && fd >= 0 && page != NULL)
		atomic_fetch_add(&page->maps, 1);
	return libos_mmap(gives, hint, size, prot, flags, fd, offset);
}

/* From now on pread and all similar calls fail. Exits where there are no such filters. */
static void
forbid_pread(void)
{
	static const int calls[] = { SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_lseek,
		SYS_vmsplice };

	if (libos_forbid(calls, sizeof calls / sizeof calls[0], ESPIPE) != 0)
		_exit(CHILD_SKIPPED);
}

/* In a child with its filter: opens a client of its own. */
static void
open_in_child(struct client *c, const char *options)
{
	c->sm = client_create_as(&server, server.address, "client", options);
	child_expect(client_open_file(c, CLIENT_MOUNT "/" NAME, SEGMENT), "sm_map");
}

/* Runs run in a child in which there is no pread. */
static pid_t
fork_child(void (*run)(void))
{
	pid_t pid = child_begin();

	if (pid != 0)
		return pid;
	client_close(&mine);
	forbid_pread();
	run();
	_exit(EXIT_SUCCESS);
}

static void
await_child(pid_t pid)
{
	child_expect_success_or_skip(pid, "no seccomp filters here");
}

/* Increments a counter in each block. True when they agreed. */
static bool
increment(uint64_t *map)
{
	uint64_t *last = map + WORDS - 1, *middle = map + SIZE_BLOCK / sizeof *map;
	bool agree = *map == *last && *map == *middle;

	++*map;
	++*middle;
	++*last;
	return agree;
}

static void
count_through_mappings(void)
{
	unsigned before = atomic_load(&page->maps);
	struct client c;
	int i;

	open_in_child(&c, NULL);
	child_expect(atomic_load(&page->maps) > before, "something was mapped");
	for (i = 0; i < TIMES; i++) {
		child_expect(sm_lock(c.file) == 0, "sm_lock");
		child_expect(increment(c.words), "the counters agree");
		child_expect(sm_unlock(c.file) == 0, "sm_unlock");
	}
	client_close(&c);
}

static void
a_client_without_pread_counts_with_one_that_has_it(void **state)
{
	uint64_t before;
	pid_t pid;
	int i;

	(void)state;
	assert_int_equal(sm_lock(mine.file), 0);
	before = *mine.words;
	assert_int_equal(sm_unlock(mine.file), 0);
	pid = fork_child(count_through_mappings);
	for (i = 0; i < TIMES; i++) {
		assert_int_equal(sm_lock(mine.file), 0);
		assert_true(increment(mine.words));
		assert_int_equal(sm_unlock(mine.file), 0);
	}
	await_child(pid);
	assert_int_equal(sm_lock(mine.file), 0);
	assert_int_equal(*mine.words, before + 2 * TIMES);
	assert_true(increment(mine.words));
	assert_int_equal(sm_unlock(mine.file), 0);
}

static void
try_private_mappings(void)
{
	struct sm *own = client_create(&server);
	struct sm_file *f = own == NULL ? NULL : sm_open(own, CLIENT_MOUNT "/" NAME);

	child_expect(f != NULL, "sm_open");
	for (gives = LIBOS_COPY_ON_WRITE; gives <= LIBOS_COPY; gives++) {
		child_expect(sm_map(f, NULL, SEGMENT) == NULL, "a private mapping is an error");
		child_expect(errno == ENOTSUP, "the error is ENOTSUP");
		child_expect(strstr(sm_error(own), "untrusted_shm") != NULL,
		    "the words say what to do");
	}
	gives = LIBOS_SHARED;
	child_expect(sm_map(f, NULL, SEGMENT) != NULL, "sm_map, now that mappings are shared");
	child_expect(sm_lock(f) == 0, "sm_lock");
	child_expect(sm_unlock(f) == 0, "sm_unlock");
	sm_free(own);
}

static void
private_mappings_end_in_an_error_that_says_what_to_do(void **state)
{
	(void)state;
	await_child(fork_child(try_private_mappings));
}

/* A segment is a number and what follows from it. */

static void
fill(uint64_t *map, uint64_t n)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		map[i] = n * 4096 + i;
}

static bool
is_filled(const uint64_t *map, uint64_t n)
{
	size_t i;

	for (i = 0; i < WORDS && map[i] == n * 4096 + i; i++)
		continue;
	return i == WORDS;
}

static void
read_through_mappings(void)
{
	static uint64_t before[WORDS];
	struct client c;
	uint64_t least;

	/* Every lock reads everything; an exclusive one would publish everything, too. */
	open_in_child(&c, "sync=full");
	while (!atomic_load(&page->is_over)) {
		least = atomic_load(&page->published);
		memcpy(before, c.words, sizeof before);
		if (sm_rdlock(c.file) == 0) {
			child_expect(c.words[0] / 4096 >= least,
			    "what was published before is there");
			child_expect(is_filled(c.words, c.words[0] / 4096),
			    "the bytes are what was sealed");
			child_expect(sm_unlock(c.file) == 0, "sm_unlock");
			atomic_fetch_add(&page->exact, 1);
			continue;
		}
		child_expect(errno == EBADMSG, "the error is EBADMSG");
		child_expect(memcmp(before, c.words, sizeof before) == 0,
		    "the mapping is as it was");
		atomic_fetch_add(&page->unverified, 1);
	}
	client_close(&c);
}

static void
publish(uint64_t n)
{
	assert_int_equal(sm_lock(mine.file), 0);
	fill(mine.words, n);
	assert_int_equal(sm_unlock(mine.file), 0);
	atomic_store(&page->published, n);
}

static bool
is_running(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    info.si_pid == 0;
}

/* The mapped bytes change between two reads, in the very memory that the client has. */
static void
flipping_bits_of_the_mapping_are_never_seen(void **state)
{
	uint64_t deadline = patience_until(3 * PATIENCE_MS), n = 1000000;
	uint64_t least = clock_after_ms(clock_now(), SHAKE_MS);
	static struct hostile host; /* its thread may outlive a test that fails */
	unsigned long flips;
	pid_t pid;

	(void)state;
	publish(n);
	pid = fork_child(read_through_mappings);
	hostile_begin(&host, HOSTILE_FLIPS_BITS, &server, NAME);
	while ((clock_now() < least || atomic_load(&page->exact) < SEEN_ENOUGH ||
		   atomic_load(&page->unverified) < SEEN_ENOUGH) &&
	    clock_now() < deadline && is_running(pid)) {
		publish(++n);
		if (n % 4 == 0)
			patience_breathe();
	}
	flips = hostile_end(&host);
	atomic_store(&page->is_over, 1);
	await_child(pid);
	print_message(
	    "# %lu bits flipped to and fro: %u locks saw what was published, %u EBADMSG\n", flips,
	    atomic_load(&page->exact), atomic_load(&page->unverified));
	assert_true(atomic_load(&page->exact) >= SEEN_ENOUGH);
	assert_true(atomic_load(&page->unverified) >= SEEN_ENOUGH);
}

static int
begin_all(void **state)
{
	(void)state;
	page = child_share(sizeof *page);
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true, .has_keys = true });
	client_expect_open(&mine, &server, CLIENT_MOUNT "/" NAME, SEGMENT);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	client_close(&mine);
	daemon_close(&server);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_without_pread_counts_with_one_that_has_it),
		cmocka_unit_test(private_mappings_end_in_an_error_that_says_what_to_do),
		cmocka_unit_test(flipping_bits_of_the_mapping_are_never_seen),
	};

	return cmocka_run_group_tests_name("smuf library OS", tests, begin_all, end_all);
}
