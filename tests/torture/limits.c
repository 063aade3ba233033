#include "tests/torture/limits.h"

#include <sys/resource.h>
#include <unistd.h>

enum {
	MORE_MOST = 10, /* descriptors, than are open */
	TIMES_MOST = 4  /* the size of the first segment; its file has twice that, and more */
};

/* The hard limit stays. */
static void
set(int what, rlim_t most)
{
	struct rlimit limit;

	(void)getrlimit(what, &limit);
	limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
	(void)setrlimit(what, &limit);
}

/* The lowest number that no descriptor has. */
static rlim_t
find_free(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return (rlim_t)fd;
}

void
limits_set(const struct round *r, struct choice *c)
{
	uint64_t more = choice_draw(c, MORE_MOST), size = choice_draw(c, TIMES_MOST * r->sizes[0]);

	if (choice_happens(c, 60))
		set(RLIMIT_NOFILE, find_free() + more);
	if (choice_happens(c, 60))
		set(RLIMIT_FSIZE, size);
	/* sm_unlock() may look at a limit that is 10 ms old. */
	(void)usleep(20 * 1000);
}

void
limits_lift(void)
{
	set(RLIMIT_NOFILE, RLIM_INFINITY);
	set(RLIMIT_FSIZE, RLIM_INFINITY);
}
