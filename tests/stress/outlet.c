#include "tests/stress/outlet.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

void
outlet_make_pipe(struct outlet *o)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*o = (struct outlet){ .reader = ends[0], .writer = ends[1] };
}

void
outlet_make_socket(struct outlet *o)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	*o = (struct outlet){ .reader = ends[0], .writer = ends[1] };
}

void
outlet_make_terminal(struct outlet *o)
{
	struct termios raw;

	o->reader = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(o->reader >= 0);
	assert_int_equal(grantpt(o->reader), 0);
	assert_int_equal(unlockpt(o->reader), 0);
	o->writer = open(ptsname(o->reader), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(o->writer >= 0);
	assert_int_equal(tcgetattr(o->writer, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(o->writer, TCSANOW, &raw), 0);
}

static void
close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
outlet_close(struct outlet *o)
{
	close_end(&o->reader);
	close_end(&o->writer);
}
