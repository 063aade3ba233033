#include "common/client/stats.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/forkmark.h"
#include "common/base/logline.h"
#include "common/base/size.h"
#include "common/client/track/dirty.h"

enum { LINE_SIZE = 1024, NAME_SIZE = 65 };

enum count {
	EXCLUSIVE,
	SHARED,
	PUBLISHED,
	PUBLISHED_BLOCKS,
	RECEIVED,
	RECEIVED_BLOCKS,
	WAITS,
	WAITED,  /* nanoseconds */
	LONGEST, /* nanoseconds */
	COUNTS
};

struct stats {
	_Atomic(struct stats *) next;
	_Atomic uint64_t counts[COUNTS];
	_Atomic uint64_t fastest; /* answer of the server, nanoseconds; 0: none yet */
	char path[];
};

static _Atomic(struct stats *) first; /* of a list that only grows, at its end */
static _Atomic uint64_t copy;         /* of the process, whose counts these are: see forkmark.h */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_on;
/* Programs change their environment, and write over their names. */
static char *place; /* SM_LOG */
static char program[NAME_SIZE];

static uintmax_t
get(const struct stats *s, enum count c)
{
	return atomic_load_explicit(&s->counts[c], memory_order_relaxed);
}

/* The caller holds the lock exclusively. */
static void
add_alone(struct stats *s, enum count c, uint64_t n)
{
	atomic_store_explicit(&s->counts[c], get(s, c) + n, memory_order_relaxed);
}

static void
add(struct stats *s, enum count c, uint64_t n)
{
	(void)atomic_fetch_add_explicit(&s->counts[c], n, memory_order_relaxed);
}

static void
print(const struct stats *s)
{
	char line[LINE_SIZE], *c;
	int n;

	n = snprintf(line, sizeof line,
	    "libsmclient: %s[%ld]: %.512s: %ju exclusive and %ju shared sections, "
	    "published %ju bytes in %ju blocks, received %ju bytes in %ju blocks, "
	    "waited %ju times for %.6f s, at most %.6f s\n",
	    program, (long)getpid(), s->path, get(s, EXCLUSIVE), get(s, SHARED), get(s, PUBLISHED),
	    get(s, PUBLISHED_BLOCKS), get(s, RECEIVED), get(s, RECEIVED_BLOCKS), get(s, WAITS),
	    (double)get(s, WAITED) / 1e9, (double)get(s, LONGEST) / 1e9);
	/* A path may have line breaks. */
	for (c = line; c < line + n - 1; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
	logline_put(place, line, (size_t)n);
}

/* At exit(3). The child of a fork that has made no call since has the counts of its parent. */
static void
print_all(void)
{
	const struct stats *s;
	int saved = errno;

	if (copy != forkmark_get())
		return;
	for (s = first; s != NULL; s = s->next)
		if (get(s, EXCLUSIVE) > 0 || get(s, SHARED) > 0)
			print(s);
	errno = saved;
}

static void
begin(void)
{
	const char *wish = secure_getenv("SM_STATS"), *log = secure_getenv("SM_LOG");

	if (wish == NULL || strcmp(wish, "1") != 0)
		return;
	place = log != NULL ? strdup(log) : NULL;
	(void)snprintf(program, sizeof program, "%s", program_invocation_short_name);
	copy = forkmark_get();
	is_on = (place != NULL || log == NULL) && atexit(print_all) == 0;
}

static struct stats *
create(const char *point, const char *name)
{
	size_t size = strlen(point) + strlen(name) + 1;
	struct stats *s = calloc(1, sizeof *s + size);

	if (s != NULL)
		(void)snprintf(s->path, size, "%s%s", point, name);
	return s;
}

void
stats_fork_child(void)
{
	uint64_t self;
	struct stats *s;
	int i;

	if (!is_on)
		return;
	self = forkmark_get();
	if (copy == self)
		return;
	for (s = first; s != NULL; s = s->next)
		for (i = 0; i < COUNTS; i++)
			s->counts[i] = 0;
	copy = self;
}

struct stats *
stats_get(const char *point, const char *name)
{
	_Atomic(struct stats *) *link = &first;
	struct stats *mine, *s = NULL;

	(void)pthread_once(&once, begin);
	/* No hook of a fork ran if the parent had closed all its files before. */
	stats_fork_child();
	mine = is_on ? create(point, name) : NULL;
	if (mine == NULL)
		return NULL;
	while (!atomic_compare_exchange_strong(link, &s, mine)) {
		if (strcmp(s->path, mine->path) == 0) {
			free(mine);
			return s;
		}
		link = &s->next;
		s = NULL;
	}
	return mine;
}

void
stats_add_section(struct stats *s, bool is_shared)
{
	if (is_shared)
		add(s, SHARED, 1);
	else
		add_alone(s, EXCLUSIVE, 1);
}

void
stats_add_wait(struct stats *s, uint64_t ns)
{
	uint64_t longest = get(s, LONGEST);

	add(s, WAITS, 1);
	add(s, WAITED, ns);
	while (ns > longest && !atomic_compare_exchange_weak(&s->counts[LONGEST], &longest, ns))
		continue;
}

bool
stats_is_wait(struct stats *s, uint64_t ns)
{
	uint64_t fastest = atomic_load_explicit(&s->fastest, memory_order_relaxed);

	if (fastest == 0 || ns < fastest)
		atomic_store_explicit(&s->fastest, ns, memory_order_relaxed);
	return fastest != 0 && ns > 2 * fastest;
}

void
stats_add_published(struct stats *s, const struct dirty *d)
{
	const struct dirty_piece *p;

	for (p = d->pieces; p < d->pieces + d->count; p++) {
		add_alone(s, PUBLISHED, p->length);
		add_alone(s, PUBLISHED_BLOCKS, size_block_span(p->offset, p->length));
	}
}

void
stats_add_received(struct stats *s, uint32_t offset, uint32_t length)
{
	add(s, RECEIVED, length);
	add(s, RECEIVED_BLOCKS, size_block_span(offset, length));
}
