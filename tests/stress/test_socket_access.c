/*
 * A socket file never shows another mode than the one asked for, and has its group before a process
 * can connect: a process that makes one is killed before each of its system calls.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/wire/addr.h"
#include "common/wire/socket.h"
#include "tests/stress/child.h"
#include "tests/stress/scratch.h"
#include "tests/stress/tracer.h"

enum { MODE = 0604, GROUP = 47110 };

static char directory[SCRATCH_PATH_SIZE], path[SCRATCH_PATH_SIZE + 8];
static struct addr address;
static struct socket_access wanted = { .mode = MODE, .group = (gid_t)-1 };

static pid_t
fork_listener(mode_t mask)
{
	int fds[SOCKET_LISTEN_MOST];
	struct socket_file file;
	pid_t pid = child_begin();

	if (pid != 0)
		return pid;
	umask(mask);
	child_expect(tracer_stop() == 0, "ptrace");
	child_expect(socket_listen(&address, &wanted, fds, &file) == 1, "listening");
	raise(SIGSTOP);
	_exit(EXIT_SUCCESS);
}

/* Returns false once there was no such call. */
static bool
kill_before_call(unsigned n, mode_t mask, bool *was_listening)
{
	pid_t pid = fork_listener(mask);
	uint64_t call = 0;
	struct stat st;
	int result = tracer_kill_at_call(pid, n, NULL, &call);

	assert_true(result >= 0);
	assert_int_equal(child_has_ended_well(pid), result == 0);
	if (lstat(path, &st) == 0) {
		if ((st.st_mode & 07777) != MODE)
			fail_msg("before call %u (number %lu): expected mode %o, got %o", n,
			    (unsigned long)call, MODE, (unsigned)st.st_mode & 07777);
		if ((result == 0 || call == SYS_listen) && wanted.group != (gid_t)-1)
			assert_int_equal(st.st_gid, wanted.group);
		*was_listening |= call == SYS_listen;
	}
	(void)unlink(path);
	return result == 1;
}

static void
no_moment_shows_another_mode_and_none_admits_another_group(void **state)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	bool was_listening;
	unsigned n;
	size_t i;

	(void)state;
	if (!tracer_is_allowed()) {
		print_message("# tracing is forbidden here\n");
		skip();
	}
	for (i = 0; i < sizeof masks / sizeof masks[0]; i++) {
		was_listening = false;
		n = 1;
		while (kill_before_call(n, masks[i], &was_listening))
			n++;
		assert_true(was_listening);
	}
}

static int
begin(void **state)
{
	(void)state;
	scratch_create(directory);
	snprintf(path, sizeof path, "%s/socket", directory);
	/* Only root may give a file to any group. */
	if (geteuid() == 0)
		wanted.group = GROUP;
	return addr_parse(&address, path, 0);
}

static int
end(void **state)
{
	(void)state;
	scratch_remove(directory);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_moment_shows_another_mode_and_none_admits_another_group),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
