/*
 * One memory file, several handles and threads of a process: closing, sm_stat() and mapping do not
 * disturb a lock in another thread. And the library does not take descriptors that the program
 * closed and opened anew for its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"

enum {
	CLOSES = 20000,
	CLOSES_SERVED = 10000,
	MAPS = 3000,
	SANITIZED_PART = 10, /* so many times fewer under a sanitizer */
	INSIDE_LOOPS = 200,
	MAPPED = 256 * 1024,
	OBTAINABLE_MS = 1000,
	FIRST_NUMBER = 3,
	LAST_NUMBER = 64,
	FILE_MOST = 256 * 1024
};

static struct smc_world world;

static unsigned
times(unsigned plain)
{
	return patience_is_sanitized() ? plain / SANITIZED_PART : plain;
}

/* Closing while another thread unlocks. */

static struct {
	const char *path;
	struct sm *sm;
	struct sm_file *staying;
	struct sm_file *_Atomic leaving; /* for the thread that closes; NULL: none to close */
	atomic_bool is_closed;
	atomic_bool is_over;
	atomic_int inside;
	atomic_uint meetings, failures;
} handles;

static void
stay_for(unsigned loops)
{
	for (volatile unsigned i = 0; i < loops; i++)
		continue;
}

static void *
go_in_and_out(void *unused)
{
	(void)unused;
	while (!atomic_load(&handles.is_over)) {
		if (sm_lock(handles.staying) != 0) {
			atomic_fetch_add(&handles.failures, 1);
			continue;
		}
		if (atomic_fetch_add(&handles.inside, 1) != 0)
			atomic_fetch_add(&handles.meetings, 1);
		stay_for(INSIDE_LOOPS);
		atomic_fetch_sub(&handles.inside, 1);
		if (sm_unlock(handles.staying) != 0)
			atomic_fetch_add(&handles.failures, 1);
	}
	return NULL;
}

static void *
close_what_comes(void *unused)
{
	struct sm_file *f;

	(void)unused;
	while (!atomic_load(&handles.is_over)) {
		f = atomic_exchange(&handles.leaving, NULL);
		if (f == NULL) {
			sched_yield();
			continue;
		}
		if (sm_close(f) != 0)
			atomic_fetch_add(&handles.failures, 1);
		atomic_store(&handles.is_closed, true);
	}
	return NULL;
}

/*
 * Locks through a handle that another thread closes meanwhile, and unlocks through the other
 * handle. Returns 0 or the errno of sm_unlock().
 */
static int
unlock_while_closing(unsigned wait)
{
	struct sm_file *f = sm_open(handles.sm, handles.path);
	int error;

	assert_non_null(f);
	assert_int_equal(sm_lock(f), 0);
	if (atomic_fetch_add(&handles.inside, 1) != 0)
		atomic_fetch_add(&handles.meetings, 1);
	atomic_fetch_sub(&handles.inside, 1);
	atomic_store(&handles.is_closed, false);
	atomic_store(&handles.leaving, f);
	stay_for(wait);
	error = sm_unlock(handles.staying) == 0 ? 0 : errno;
	while (!atomic_load(&handles.is_closed))
		sched_yield();
	return error;
}

static void
close_and_unlock(struct sm *sm, const char *path, unsigned closes)
{
	unsigned i, wait = INSIDE_LOOPS, unlocked = 0, late = 0;
	pthread_t locking[2], closing;
	int error = 0;

	memset(&handles, 0, sizeof handles);
	handles.sm = sm;
	handles.path = path;
	handles.staying = sm_open(sm, path);
	assert_non_null(handles.staying);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&locking[i], NULL, go_in_and_out, NULL), 0);
	assert_int_equal(pthread_create(&closing, NULL, close_what_comes, NULL), 0);
	for (i = 0; i < closes && (error == 0 || error == ENOLCK); i++) {
		error = unlock_while_closing(wait);
		unlocked += error == 0;
		late += error == ENOLCK;
		/* Approach the moment at which both happen at once. */
		if (error == 0)
			wait += wait / 8 + 1;
		else
			wait -= wait / 8;
	}
	atomic_store(&handles.is_over, true);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(locking[i], NULL), 0);
	assert_int_equal(pthread_join(closing, NULL), 0);
	print_message("# %u unlocked in time, %u after the close\n", unlocked, late);
	if (error != 0 && error != ENOLCK)
		fail_msg("sm_unlock: expected 0 or ENOLCK, got %s", strerror(error));
	assert_int_equal(atomic_load(&handles.meetings), 0);
	assert_int_equal(atomic_load(&handles.failures), 0);
	assert_true(unlocked > 0 && late > 0);
	assert_int_equal(sm_close(handles.staying), 0);
}

static void
closing_one_handle_while_another_unlocks_makes_no_second_holder(void **state)
{
	struct sm *sm = smc_mount(&world, NULL);

	(void)state;
	assert_non_null(sm);
	close_and_unlock(sm, SMC_MOUNT "/two-handles", times(CLOSES));
	sm_free(sm);
}

static void
closing_one_handle_makes_no_second_holder_with_a_server(void **state)
{
	struct daemon server;
	struct sm *sm;

	(void)state;
	daemon_init(&server, &(struct daemon_config){ 0 });
	daemon_start(&server);
	sm = client_create(&server);
	assert_non_null(sm);
	close_and_unlock(sm, CLIENT_MOUNT "/two-handles", times(CLOSES_SERVED));
	sm_free(sm);
	daemon_stop(&server);
	daemon_fini(&server);
}

/* sm_stat() while another thread maps. */

static struct {
	struct sm_file *file;
	atomic_bool is_over;
	atomic_uint answers, wrong;
} asked;

static void *
ask(void *unused)
{
	struct sm_stat st;

	(void)unused;
	while (!atomic_load(&asked.is_over)) {
		if (sm_stat(asked.file, &st) != 0 || (st.size != 0 && st.size != MAPPED) ||
		    st.open_count != 1)
			atomic_fetch_add(&asked.wrong, 1);
		atomic_fetch_add(&asked.answers, 1);
	}
	return NULL;
}

static void
asking_while_another_thread_maps_and_unmaps_is_answered(void **state)
{
	struct sm *sm = smc_mount(&world, NULL);
	pthread_t asking;
	unsigned i;
	void *p;

	(void)state;
	assert_non_null(sm);
	memset(&asked, 0, sizeof asked);
	asked.file = sm_open(sm, SMC_MOUNT "/asked");
	assert_non_null(asked.file);
	assert_int_equal(pthread_create(&asking, NULL, ask, NULL), 0);
	for (i = 0; i < times(MAPS); i++) {
		p = sm_map(asked.file, NULL, MAPPED);
		if (p == NULL || sm_unmap(sm, p) != 0)
			break;
	}
	atomic_store(&asked.is_over, true);
	assert_int_equal(pthread_join(asking, NULL), 0);
	if (i < times(MAPS))
		fail_msg("sm_map or sm_unmap, time %u: %s", i, sm_error(sm));
	print_message("# %u answers while it was mapped %u times\n", atomic_load(&asked.answers),
	    i);
	assert_true(atomic_load(&asked.answers) > 0);
	assert_int_equal(atomic_load(&asked.wrong), 0);
	sm_free(sm);
}

static void *
ask_for_more(void *unused)
{
	uint64_t before = 0;
	struct sm_stat st;

	(void)unused;
	while (!atomic_load(&asked.is_over)) {
		if (sm_stat(asked.file, &st) != 0 || st.committed < before || st.committed > MAPPED)
			atomic_fetch_add(&asked.wrong, 1);
		before = st.committed;
		atomic_fetch_add(&asked.answers, 1);
	}
	return NULL;
}

/* Publishes each block twice, one after the other. Returns how many sections failed. */
static unsigned
publish_all(struct client *c, unsigned rounds)
{
	unsigned i, failed = 0;

	for (i = 0; i < rounds; i++) {
		if (client_lock_within(c, PATIENCE_MS) != 0)
			return failed + 1;
		c->segment[(size_t)(i / 2) * SIZE_BLOCK % MAPPED]++;
		failed += sm_unlock(c->file) != 0;
	}
	return failed;
}

static void
asking_while_another_thread_publishes_is_answered(void **state)
{
	struct client c;
	struct sm_stat st;
	pthread_t asking;

	(void)state;
	memset(&asked, 0, sizeof asked);
	assert_int_equal(smc_join(&c, &world, "published", MAPPED), 0);
	asked.file = c.file;
	assert_int_equal(pthread_create(&asking, NULL, ask_for_more, NULL), 0);
	assert_int_equal(publish_all(&c, times(MAPS)), 0);
	atomic_store(&asked.is_over, true);
	assert_int_equal(pthread_join(asking, NULL), 0);
	assert_int_equal(atomic_load(&asked.wrong), 0);
	assert_int_equal(publish_all(&c, 2 * MAPPED / SIZE_BLOCK), 0);
	assert_int_equal(sm_stat(c.file, &st), 0);
	assert_int_equal(st.committed, MAPPED);
	client_close(&c);
}

/* Descriptors of the program under the numbers of the library's. */

enum which { ALL_DESCRIPTORS, THE_SEGMENTS };
enum what { OLD_COPY, OTHER_BYTES };

static struct page {
	atomic_bool is_ready, is_changed;
} * page;

/*
 * Makes a file of the program's own: a copy of the segment file, or as many bytes that could be
 * versions.
 */
static int
make_own_file(const char *name, enum what what)
{
	static uint8_t bytes[FILE_MOST];
	int from = open(smc_path(&world, name, ".segment"), O_RDONLY), to;
	ssize_t size = read(from, bytes, sizeof bytes), i;

	child_expect(size > 0 && size < FILE_MOST && close(from) == 0,
	    "the segment's file is read");
	for (i = 0; what == OTHER_BYTES && i < size; i++)
		bytes[i] = i % 8 == 0;
	to = open(smc_path(&world, name, "-own"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	child_expect(to >= 0 && write(to, bytes, (size_t)size) == size, "a file of one's own");
	return to;
}

static bool
is_the_segments(int fd, const char *name)
{
	struct stat is, wanted;

	return fstat(fd, &is) == 0 && stat(smc_path(&world, name, ".segment"), &wanted) == 0 &&
	    is.st_dev == wanted.st_dev && is.st_ino == wanted.st_ino;
}

static void
replace(int own, enum which which, const char *name)
{
	int fd, replaced = 0;

	for (fd = FIRST_NUMBER; fd < LAST_NUMBER; fd++) {
		if (fd == own || (which == THE_SEGMENTS && !is_the_segments(fd, name)))
			continue;
		child_expect(dup2(own, fd) == fd, "dup2");
		replaced++;
	}
	child_expect(replaced > 0, "there were descriptors to replace");
}

static void __attribute__((noreturn))
be_careless(const char *name, enum which which, enum what what)
{
	uint8_t before[SMC_SEGMENT];
	struct sm_stat st;
	struct client p;
	int own, i;

	child_expect(smc_join(&p, &world, name, SMC_SEGMENT) == 0, "it is opened and mapped");
	child_expect(sm_lock(p.file) == 0, "sm_lock");
	smc_count(p.segment);
	child_expect(sm_unlock(p.file) == 0, "sm_unlock");
	memcpy(before, p.segment, sizeof before);
	own = make_own_file(name, what);
	atomic_store(&page->is_ready, true);
	(void)child_await(&page->is_changed, PATIENCE_MS);
	replace(own, which, name);
	for (i = 0; i < 2; i++) {
		child_expect(sm_lock(p.file) == -1 && errno == EBADF,
		    "the descriptors are not ours: EBADF");
		child_expect(memcmp(p.segment, before, sizeof before) == 0,
		    "the mapping is as it was");
	}
	child_expect(sm_stat(p.file, &st) == 0 && st.open_count == 2,
	    "two users, this one and another");
	_exit(EXIT_SUCCESS);
}

static void
run_careless(const char *name, enum which which, enum what what)
{
	struct client p;
	pid_t pid;

	memset(page, 0, sizeof *page);
	pid = child_begin();
	if (pid == 0)
		be_careless(name, which, what);
	(void)child_await(&page->is_ready, PATIENCE_MS);
	assert_int_equal(smc_join(&p, &world, name, SMC_SEGMENT), 0);
	assert_int_equal(client_lock_within(&p, OBTAINABLE_MS), 0);
	smc_count(p.segment);
	assert_int_equal(sm_unlock(p.file), 0);
	atomic_store(&page->is_changed, true);
	if (!child_has_ended_well(pid))
		fail_msg("%s: the child did not end well", name);
	/* Other processes go on, with the changes that they published. */
	assert_int_equal(client_lock_within(&p, OBTAINABLE_MS), 0);
	assert_int_equal(smc_value(p.segment), 2);
	assert_int_equal(sm_unlock(p.file), 0);
	client_close(&p);
}

static void
own_files_in_the_place_of_the_librarys_are_never_read(void **state)
{
	(void)state;
	run_careless("all-old", ALL_DESCRIPTORS, OLD_COPY);
	run_careless("all-other", ALL_DESCRIPTORS, OTHER_BYTES);
	run_careless("segment-old", THE_SEGMENTS, OLD_COPY);
	run_careless("segment-other", THE_SEGMENTS, OTHER_BYTES);
}

static int
begin_all(void **state)
{
	*state = &world;
	page = child_share(sizeof *page);
	smc_world_create(&world);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(closing_one_handle_while_another_unlocks_makes_no_second_holder),
		cmocka_unit_test(closing_one_handle_makes_no_second_holder_with_a_server),
		cmocka_unit_test(asking_while_another_thread_maps_and_unmaps_is_answered),
		cmocka_unit_test(asking_while_another_thread_publishes_is_answered),
		cmocka_unit_test(own_files_in_the_place_of_the_librarys_are_never_read),
	};

	return cmocka_run_group_tests_name("smc handles", tests, begin_all, smc_world_teardown);
}
