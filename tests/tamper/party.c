#include "tests/tamper/party.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/stress/patience.h"

enum { UNPUBLISHED = 0xa5, LOCK_SECONDS = 10 };

static uint64_t served; /* the value of the other file's counter */

void
party_begin(struct party *p, const char *words, const struct daemon *d, size_t size)
{
	*p = (struct party){ .words = words, .sm = client_create(d), .size = size };
	if (p->sm == NULL)
		fail_msg("client_create: %s", sm_error(NULL));
	p->before = malloc(size);
	p->other = sm_open(p->sm, PARTY_OTHER);
	p->count = p->other == NULL ? NULL : sm_map(p->other, NULL, sizeof *p->count);
	if (p->before == NULL || p->count == NULL)
		fail_msg("%s: %s", PARTY_OTHER, sm_error(p->sm));
}

void
party_end(struct party *p)
{
	sm_free(p->sm);
	free(p->before);
	*p = (struct party){ 0 };
}

void
party_open(struct party *p, const char *path)
{
	p->file = sm_open(p->sm, path);
	if (p->file == NULL)
		fail_msg("%s: sm_open: %s", p->words, sm_error(p->sm));
}

int
party_map(struct party *p)
{
	p->map = sm_map(p->file, NULL, p->size);
	if (p->map == NULL)
		return -errno;
	memset(p->map, UNPUBLISHED, p->size);
	return 0;
}

void
party_close(struct party *p)
{
	if (p->map != NULL && sm_unmap(p->sm, p->map) != 0)
		fail_msg("%s: sm_unmap: %s", p->words, sm_error(p->sm));
	if (p->file != NULL && sm_close(p->file) != 0)
		fail_msg("%s: sm_close: %s", p->words, sm_error(p->sm));
	p->map = NULL;
	p->file = NULL;
}

/* The moment that many seconds from now. */
static struct timespec
in_seconds(unsigned seconds)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	ts.tv_sec += (time_t)(patience_ms(1) * seconds);
	return ts;
}

int
party_lock(struct party *p, bool is_shared)
{
	struct timespec deadline = in_seconds(LOCK_SECONDS);
	int result, error;

	memcpy(p->before, p->map, p->size);
	/* A shared lock has no deadline: when another client keeps the lock, end the program. */
	alarm((unsigned)patience_ms(2 * LOCK_SECONDS));
	result = is_shared ? sm_rdlock(p->file) : sm_timedlock(p->file, &deadline);
	alarm(0);
	if (result == 0)
		return 0;
	error = errno;
	if (memcmp(p->before, p->map, p->size) != 0)
		fail_msg("%s: sm_lock failed (%s) and has changed the mapping", p->words,
		    sm_error(p->sm));
	return -error;
}

void
party_unlock(struct party *p)
{
	if (sm_unlock(p->file) != 0)
		fail_msg("%s: sm_unlock: %s", p->words, sm_error(p->sm));
}

void
party_publish(struct party *p, const uint8_t *bytes)
{
	assert_int_equal(party_lock(p, false), 0);
	memcpy(p->map, bytes, p->size);
	party_unlock(p);
}

void
party_rest(struct party *p, const char *path)
{
	uint8_t *bytes = malloc(p->size);

	assert_non_null(bytes);
	party_open(p, path);
	assert_int_equal(party_map(p), 0);
	party_fill(bytes, p->size, 0);
	party_publish(p, bytes);
	free(bytes);
}

void
party_expect(const struct party *p, const uint8_t *bytes, const char *when)
{
	size_t i;

	for (i = 0; i < p->size; i++)
		if (p->map[i] != bytes[i])
			fail_msg("%s: byte %zu is %u and not %u as was published last: %s",
			    p->words, i, p->map[i], bytes[i], when);
}

void
party_serve_other(struct party *p)
{
	if (sm_lock(p->other) != 0)
		fail_msg("%s: the other file: sm_lock: %s", p->words, sm_error(p->sm));
	assert_int_equal(*p->count, served);
	*p->count = ++served;
	if (sm_unlock(p->other) != 0)
		fail_msg("%s: the other file: sm_unlock: %s", p->words, sm_error(p->sm));
}

void
party_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	size_t i;

	for (i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (uint8_t)(x >> 32);
	}
}
