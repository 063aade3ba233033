/*
 * ownfd: a number that leads to something else than what was opened is told apart, and not closed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host/ownfd.h"
#include "tests/stress/scratch.h"

static char dir[SCRATCH_PATH_SIZE], path[SCRATCH_PATH_SIZE + 16];

static int
open_file(const char *name)
{
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

/* Puts other under the number of d, and expects that d is not intact and leaves it open. */
static void
expect_lost(struct ownfd *d, int other)
{
	struct stat before, after;
	int fd = d->fd;

	assert_true(ownfd_is_intact(d));
	assert_int_equal(dup2(other, fd), fd);
	assert_int_equal(fstat(fd, &before), 0);
	assert_false(ownfd_is_intact(d));
	ownfd_close(d);
	assert_int_equal(d->fd, -1);
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	(void)close(fd);
}

static void
an_own_descriptor_is_intact_until_it_is_closed(void **state)
{
	struct ownfd d = ownfd_of(open_file("a"));
	int fd = d.fd;

	(void)state;
	assert_true(ownfd_is_intact(&d));
	ownfd_close(&d);
	assert_int_equal(d.fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_false(ownfd_is_intact(&d));
	ownfd_close(&d);
	d = ownfd_of(open_file("a"));
	(void)close(d.fd);
	assert_false(ownfd_is_intact(&d));
}

static void
nothing_is_not_intact(void **state)
{
	struct ownfd none = OWNFD_CLOSED, closed = ownfd_of(1000);

	(void)state;
	assert_false(ownfd_is_intact(&none));
	assert_false(ownfd_is_intact(&closed));
	assert_int_equal(dup2(0, 1000), 1000);
	assert_false(ownfd_is_intact(&closed));
	(void)close(1000);
}

static void
another_file_socket_or_pipe_is_not_ours(void **state)
{
	int other = open_file("b"), pair[2], pipe[2];
	struct ownfd d;

	(void)state;
	d = ownfd_of(open_file("a"));
	expect_lost(&d, other);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	d = ownfd_of(pair[0]);
	expect_lost(&d, pair[1]);
	assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
	d = ownfd_of(pipe[0]);
	expect_lost(&d, pair[1]);
	(void)close(other);
	(void)close(pair[1]);
	(void)close(pipe[1]);
}

/* The library itself opens the same file again: the number is the new one's. */
static void
a_number_that_was_given_to_us_again_is_lost_to_the_old_owner(void **state)
{
	struct ownfd old = ownfd_of(open_file("a")), copy, new;

	(void)state;
	copy = old;
	(void)close(old.fd);
	new = ownfd_of(open_file("a"));
	assert_int_equal(new.fd, old.fd);
	assert_false(ownfd_is_intact(&old));
	assert_false(ownfd_is_intact(&copy));
	ownfd_close(&old);
	ownfd_close(&copy);
	assert_true(ownfd_is_intact(&new));
	copy = new;
	ownfd_close(&copy);
	assert_false(ownfd_is_intact(&new));
}

/* A file system may give a new file the inode number of one that is gone. */
static void
a_file_of_the_same_inode_number_and_another_birth_is_not_ours(void **state)
{
	struct ownfd d = ownfd_of(open_file("a")), younger = d;

	(void)state;
	if (d.birth == 0) {
		ownfd_close(&d);
		print_message("this file system tells no birth\n");
		skip();
	}
	younger.birth++;
	assert_false(ownfd_is_intact(&younger));
	younger.birth = 0;
	assert_true(ownfd_is_intact(&younger));
	ownfd_close(&d);
}

static int
begin(void **state)
{
	(void)state;
	scratch_create(dir);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_own_descriptor_is_intact_until_it_is_closed,
		    begin, end),
		cmocka_unit_test_setup_teardown(nothing_is_not_intact, begin, end),
		cmocka_unit_test_setup_teardown(another_file_socket_or_pipe_is_not_ours, begin,
		    end),
		cmocka_unit_test_setup_teardown(
		    a_number_that_was_given_to_us_again_is_lost_to_the_old_owner, begin, end),
		cmocka_unit_test_setup_teardown(
		    a_file_of_the_same_inode_number_and_another_birth_is_not_ours, begin, end),
	};

	return cmocka_run_group_tests_name("ownfd", tests, NULL, NULL);
}
