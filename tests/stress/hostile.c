#include "tests/stress/hostile.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host/filename.h"
#include "smuf/layout.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

enum { PATH_SIZE = DAEMON_PATH_SIZE + 64, FLIPS = 100 * 1000 };

/* This thread must not call cmocka. */
static void
put(const struct hostile *h, uint64_t at, const void *bytes, size_t size)
{
	if (pwrite(h->fd, bytes, size, (off_t)at) != (ssize_t)size)
		abort();
}

static void
forge(const struct hostile *h, unsigned *seed)
{
	uint32_t words[2];
	int word = rand_r(seed) % 2;

	if (pread(h->fd, words, sizeof words, LAYOUT_TICKET_AT) != sizeof words)
		abort();
	switch (rand_r(seed) % 5) {
	case 0:
		words[word] -= 1 + (uint32_t)rand_r(seed) % 3;
		break;
	case 1:
		words[word] += 1 + (uint32_t)rand_r(seed) % 3;
		break;
	case 2:
		words[word] = (uint32_t)rand_r(seed) * 2;
		break;
	case 3:
		words[0] = words[1];
		break;
	default:
		memset(words, 0, sizeof words);
	}
	put(h, LAYOUT_TICKET_AT, words, sizeof words);
}

/* Flips a bit back and forth as fast as memory allows, so that it changes between two reads. */
static void
flip(const struct hostile *h, unsigned *seed)
{
	volatile uint8_t *byte = h->map + (uint64_t)rand_r(seed) % h->size;
	uint8_t bit = (uint8_t)(1u << rand_r(seed) % 8);
	int i;

	for (i = 0; i < FLIPS; i++)
		*byte ^= bit;
}

static void *
work(void *arg)
{
	struct hostile *h = arg;
	unsigned seed = 1;

	while (!atomic_load(&h->is_over)) {
		if (h->what == HOSTILE_FLIPS_BITS)
			flip(h, &seed);
		else
			forge(h, &seed);
		/* Leave the clients some of the processor time. */
		if (atomic_fetch_add(&h->deeds, 1) % 16 == 0 && h->what == HOSTILE_FORGES_TICKETS)
			patience_breathe();
	}
	return NULL;
}

void
hostile_begin(struct hostile *h, enum hostile_what what, const struct daemon *d, const char *name)
{
	char path[PATH_SIZE];
	struct stat st;

	*h = (struct hostile){ .what = what };
	snprintf(path, sizeof path, "%s/%s%s", d->memdir, name,
	    what == HOSTILE_FORGES_TICKETS ? "" : FILENAME_SUFFIX);
	h->fd = open(path, O_RDWR | O_CLOEXEC);
	if (h->fd < 0 || fstat(h->fd, &st) != 0)
		fail_msg("%s: %s", path, strerror(errno));
	h->size = (uint64_t)st.st_size;
	h->map = mmap(NULL, h->size, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
	assert_true(h->map != MAP_FAILED);
	assert_int_equal(pthread_create(&h->thread, NULL, work, h), 0);
}

unsigned long
hostile_end(struct hostile *h)
{
	atomic_store(&h->is_over, true);
	assert_int_equal(pthread_join(h->thread, NULL), 0);
	munmap(h->map, h->size);
	close(h->fd);
	return atomic_load(&h->deeds);
}
