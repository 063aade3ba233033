/*
 * Trackers over a fork, where the kernel refuses them, and where descriptors are scarce: a child
 * does not affect its parent, and no change is lost without the kernel's help (PROTOCOL 6, DESIGN
 * 8).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/size.h"
#include "tests/stress/libos.h"
#include "tests/unit/body.h"
#include "tests/unit/tracked.h"

enum { SIZE = SIZE_MIB + 100 };

static bool
has_one_piece(uint32_t offset, uint32_t length)
{
	return replica_collect(&replica) == 0 && dirty->count == 1 &&
	    dirty->pieces[0].offset == offset && dirty->pieces[0].length == length;
}

/* Counts the userfaultfds that this process has open. */
static int
count_uffds(void)
{
	char path[300], target[100];
	struct dirent *entry;
	ssize_t length;
	int count = 0;
	DIR *d = opendir("/proc/self/fd");

	while (d != NULL && (entry = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
		length = readlink(path, target, sizeof target - 1);
		target[length < 0 ? 0 : length] = '\0';
		count += strstr(target, "userfaultfd") != NULL;
	}
	if (d != NULL)
		closedir(d);
	return count;
}

static int
be_a_child(void)
{
	int i;

	replica_fork_child(&replica);
	EXPECT(replica_begin(&replica) == 0);
	EXPECT(replica_since(&replica) == 0);
	EXPECT(count_uffds() == (dirty->ops == &dirty_uffd));
	tracked_grant(7, SIZE_BLOCK, "granted", 7);
	/* Void: zeros where the grant names nothing. */
	EXPECT(dirty->base[5] == 0 && dirty->base[SIZE_BLOCK] == 'g');
	for (i = 0; i < 20; i++)
		EXPECT(replica_collect(&replica) == 0 && (i == 0 || dirty->count == 0));
	for (i = 0; i < 20; i++) {
		dirty->base[i * SIZE_BLOCK + i]++;
		tracked_wrote((uint32_t)(i * SIZE_BLOCK + i), 1);
		EXPECT(has_one_piece((uint32_t)(i * SIZE_BLOCK + i), 1));
	}
	return 0;
}

static int
be_a_parent(void)
{
	EXPECT(be_a_child() == 0);
	dirty->base[3] = 77;
	tracked_wrote(3, 1);
	body_run(be_a_child);
	EXPECT(has_one_piece(3, 1));
	return 0;
}

static void
a_child_does_nothing_to_its_parent(void **state)
{
	int i;

	tracked_begin(state, SIZE);
	tracked_grant(3, 0, "parent", 6);
	tracked_idle();
	for (i = 0; i < 10; i++) {
		tracked_set(5, 'a' + i, 1);
		tracked_set(SIZE - 1, 'a' + i, 1);
		body_run(be_a_child);
		assert_int_equal(replica_since(&replica), 3);
		assert_int_equal(replica_collect(&replica), 0);
		assert_int_equal(dirty->count, 2);
		assert_int_equal(dirty->pieces[0].offset, 5);
		assert_int_equal(dirty->pieces[1].offset, SIZE - 1);
		tracked_expect_nothing();
	}
	tracked_end();
}

/* The parent's change from before the fork stays its only one, whatever fn does in the child. */
static void
keep_change_across_fork(void **state, int (*fn)(void))
{
	tracked_begin(state, SIZE);
	tracked_grant(3, 0, "parent", 6);
	tracked_idle();
	tracked_set(5, 'b', 1);
	body_run(fn);
	tracked_expect_piece(5, 1);
	tracked_end();
}

/* Where the kernel withholds the shadow, this memory of the child is not the library's. */
static int
map_where_the_shadow_was(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	uint8_t *own = mmap(dirty->shadow, dirty->room, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (own != dirty->shadow) {
		/* As ThreadSanitizer does. */
		printf("something else was mapped there already: this proves little\n");
		return be_a_child();
	}
	memset(own, 'o', dirty->room);
	EXPECT(be_a_child() == 0);
	replica_unmap(&replica);
	EXPECT(own[0] == 'o' && own[SIZE - 1] == 'o');
	return 0;
}

static void
a_child_keeps_what_it_mapped_where_the_shadow_was(void **state)
{
	keep_change_across_fork(state, map_where_the_shadow_was);
}

static void
a_child_has_children(void **state)
{
	keep_change_across_fork(state, be_a_parent);
}

/* Limits the descriptors: none beyond count may be opened. */
static int
allow_descriptors(rlim_t count)
{
	struct rlimit limit;

	EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = count;
	EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	return 0;
}

static int
find_no_descriptors(void)
{
	struct rlimit limit;

	EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	EXPECT(allow_descriptors(0) == 0);
	error_begin();
	replica_fork_child(&replica);
	if (dirty->ops == &dirty_uffd) {
		/* The failure is reported, each time. */
		EXPECT(replica_begin(&replica) == -EMFILE);
		EXPECT(strstr(error_text(), "track=uffd") != NULL);
		EXPECT(replica_collect(&replica) == -EMFILE);
		EXPECT(allow_descriptors(limit.rlim_cur) == 0);
	}
	return be_a_child();
}

static void
a_child_without_descriptors_compares_or_says_so(void **state)
{
	keep_change_across_fork(state, find_no_descriptors);
}

static const struct dirty_ops *wanted;

/* Brings the replica from nothing to version, without a block. */
static void
grant_nothing(uint64_t version)
{
	replica_grant_begin(&replica, version);
	replica_grant_end(&replica, version);
}

/* A kernel that withholds the shadow from children. */
static int
keep_the_shadow(void)
{
	tracked_grant(3, 0, "parent", 6);
	tracked_idle();
	tracked_set(9, 'a', 1);
	replica_fork_prepare(&replica);
	EXPECT(dirty->shadow != NULL && replica_since(&replica) == 3);
	EXPECT(has_one_piece(9, 1));
	return 0;
}

/* A library OS that copies all memory: a void replica has nothing to keep. */
static int
give_up_a_void_shadow(void)
{
	tracked_grant(3, 0, "parent", 6);
	replica_void(&replica);
	replica_fork_prepare(&replica);
	EXPECT(dirty->shadow == NULL && replica_since(&replica) == 0);
	EXPECT(replica_begin(&replica) == 0);
	tracked_grant(4, SIZE_BLOCK, "granted", 7);
	EXPECT(dirty->base[0] == 0 && dirty->base[SIZE_BLOCK] == 'g');
	EXPECT(replica_collect(&replica) == 0 && dirty->count == 0);
	return 0;
}

/* A child's replica is void, whatever its parent's is. */
static int
give_up_the_shadow_and_fork(void)
{
	tracked_grant(3, 0, "parent", 6);
	replica_fork_prepare(&replica);
	EXPECT(dirty->shadow == NULL && replica_since(&replica) == 3);
	return be_a_child();
}

/* The same: a replica that is neither void nor fresh keeps what it has. */
static int
give_up_the_shadow(void)
{
	/* A fresh replica keeps what the program wrote to it. */
	tracked_set(5, 'a', 1);
	replica_fork_prepare(&replica);
	EXPECT(dirty->shadow == NULL);
	EXPECT(replica_begin(&replica) == 0);
	grant_nothing(0);
	EXPECT(has_one_piece(5, 1));
	replica_published(&replica, 4);
	/* What was published needs no other grant. */
	replica_fork_prepare(&replica);
	EXPECT(dirty->shadow == NULL && replica_since(&replica) == 4);
	replica_fork_prepare(&replica);
	EXPECT(replica_begin(&replica) == 0);
	EXPECT(replica_since(&replica) == 4);
	EXPECT(memcmp(dirty->shadow, dirty->base, SIZE) == 0 && dirty->base[5] == 'a');
	EXPECT(replica_collect(&replica) == 0 && dirty->count == 0);
	tracked_grant(5, SIZE_BLOCK, "newer", 5);
	tracked_set(SIZE - 2, 'b', 1);
	EXPECT(has_one_piece(SIZE - 2, 1));
	replica_published(&replica, 6);
	/* What was written outside a critical section is lost: the replica is void. */
	tracked_set(9, 'b', 1);
	replica_fork_prepare(&replica);
	EXPECT(dirty->shadow == NULL && replica_since(&replica) == 0);
	replica_fork_prepare(&replica);
	EXPECT(replica_begin(&replica) == 0);
	tracked_grant(7, SIZE_BLOCK, "granted", 7);
	EXPECT(dirty->base[5] == 0 && dirty->base[9] == 0 && dirty->base[SIZE_BLOCK] == 'g');
	EXPECT(replica_collect(&replica) == 0 && dirty->count == 0);
	tracked_set(SIZE - 1, 'c', 1);
	EXPECT(has_one_piece(SIZE - 1, 1));
	/* A fork that skips the handlers copies the shadow. */
	return be_a_child();
}

static int
map_and_run(int (*fn)(void))
{
	replica = (struct replica){ 0 };
	EXPECT(replica_map(&replica, NULL, SIZE, false, wanted) == 0);
	/* Not before a lock is acquired. */
	EXPECT(dirty->shadow == NULL);
	EXPECT(replica_begin(&replica) == 0);
	EXPECT(fn() == 0);
	replica_unmap(&replica);
	return 0;
}

static int
fork_under_a_kernel(void)
{
	return map_and_run(keep_the_shadow);
}

static int
fork_under_a_library_os(void)
{
	static const int calls[] = { SYS_madvise };

	if (libos_forbid(calls, 1, ENOSYS) != 0) {
		printf("this system has no seccomp filters: nothing is proved\n");
		return 0;
	}
	EXPECT(map_and_run(give_up_a_void_shadow) == 0);
	EXPECT(map_and_run(give_up_the_shadow_and_fork) == 0);
	return map_and_run(give_up_the_shadow);
}

static void
a_shadow_that_a_fork_would_copy_ends_before_it(void **state)
{
	wanted = *state;
	if (wanted == &dirty_uffd)
		tracked_need_uffd();
	body_run(fork_under_a_kernel);
	body_run(fork_under_a_library_os);
}

/* Maps a new replica, and finds every change. */
static int
find_changes(bool is_watching)
{
	int i;

	replica = (struct replica){ 0 };
	EXPECT(replica_map(&replica, NULL, SIZE, false, wanted) == 0);
	EXPECT(replica_begin(&replica) == 0);
	for (i = 0; i < 20; i++) {
		dirty->base[i * SIZE_BLOCK + i]++;
		tracked_wrote((uint32_t)(i * SIZE_BLOCK + i), 1);
		EXPECT(has_one_piece((uint32_t)(i * SIZE_BLOCK + i), 1));
	}
	EXPECT(dirty_auto_is_watching(dirty) == is_watching || wanted != &dirty_auto);
	replica_unmap(&replica);
	return 0;
}

static int
have_few_descriptors(void)
{
	int highest = dup(0), least = fcntl(0, F_DUPFD, highest + 4);

	EXPECT(highest >= 0 && least >= 0);
	close(least);
	EXPECT(allow_descriptors((rlim_t)least) == 0);
	EXPECT(find_changes(false) == 0);
	EXPECT(count_uffds() == 0);
	return 0;
}

static void
auto_leaves_descriptors_to_the_program(void **state)
{
	wanted = *state;
	body_run(have_few_descriptors);
}

static int
be_refused(int error)
{
	static const int calls[] = { SYS_userfaultfd };

	/* A sandbox, in which userfaultfd(2) fails with this. */
	if (libos_forbid(calls, 1, error) != 0) {
		printf("this system has no seccomp filters: nothing is proved\n");
		return 0;
	}
	if (wanted != &dirty_uffd)
		return find_changes(false);
	error_begin();
	replica = (struct replica){ 0 };
	EXPECT(replica_map(&replica, NULL, SIZE, false, wanted) == -ENOTSUP);
	EXPECT(strstr(error_text(), "track=uffd") != NULL);
	EXPECT(!replica_is_mapped(&replica));
	/* A replica that tracks nothing needs no userfaultfd. */
	EXPECT(replica_map(&replica, NULL, SIZE, true, wanted) == 0);
	replica_unmap(&replica);
	return 0;
}

static int
be_refused_as_unknown(void)
{
	return be_refused(ENOSYS);
}

static int
be_refused_as_forbidden(void)
{
	return be_refused(EPERM);
}

static void
where_it_is_refused_auto_compares_and_uffd_says_so(void **state)
{
	wanted = *state;
	body_run(be_refused_as_unknown);
	body_run(be_refused_as_forbidden);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TRACKED_ALL(a_child_does_nothing_to_its_parent),
		TRACKED_ALL(a_child_has_children),
		TRACKED_ALL(a_child_keeps_what_it_mapped_where_the_shadow_was),
		TRACKED_ALL(a_shadow_that_a_fork_would_copy_ends_before_it),
		TRACKED_ALL(a_child_without_descriptors_compares_or_says_so),
		TRACKED(auto_leaves_descriptors_to_the_program, auto),
		TRACKED_ALL(where_it_is_refused_auto_compares_and_uffd_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
