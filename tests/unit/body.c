#include "tests/unit/body.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/stress/patience.h"

enum { LIMIT_S = 60 };

void
body_begin(struct body *b, int (*fn)(void))
{
	int ends[2], line;

	assert_int_equal(pipe(ends), 0);
	b->pid = fork();
	assert_true(b->pid >= 0);
	if (b->pid == 0) {
		alarm((unsigned)patience_ms(LIMIT_S));
		line = fn();
		_exit(write(ends[1], &line, sizeof line) == sizeof line ? 0 : 1);
	}
	close(ends[1]);
	b->end = ends[0];
}

void
body_end(struct body *b)
{
	int line = -1, status = -1;
	ssize_t n = read(b->end, &line, sizeof line);

	close(b->end);
	assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
	if (n != sizeof line || status != 0)
		fail_msg("a child ended with wait status %#x, 0 was expected", (unsigned)status);
	if (line != 0)
		fail_msg("line %d in a child", line);
}

void
body_run(int (*fn)(void))
{
	struct body b;

	body_begin(&b, fn);
	body_end(&b);
}
