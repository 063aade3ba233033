#include "tests/stress/testpoint.h"

/* Here they are functions, with whatever options this file is compiled. */
#ifndef TESTPOINTS
#define TESTPOINTS
#endif
#include "common/base/testpoint.h"

#include <assert.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/nonces/record.h"

static struct {
	/* 0: no plan, what follows is not read. So it may be made beside threads at testpoints. */
	atomic_uint nth;
	const char *step; /* NULL: any */
	int signal;       /* or 0: */
	void (*fn)(const char *step, void *arg);
	void *arg;
	atomic_uint reached;
} plan;

static struct testpoint_steps *recorded;  /* NULL: no recording */
static void (*watcher)(const char *step); /* NULL: none */

static void
set_plan(const char *step, unsigned nth, int signal, void (*fn)(const char *, void *), void *arg)
{
	atomic_store(&plan.nth, 0);
	plan.step = step;
	plan.signal = signal;
	plan.fn = fn;
	plan.arg = arg;
	atomic_store(&plan.reached, 0);
	atomic_store(&plan.nth, nth);
}

void
testpoint_plan(const char *step, unsigned nth, int signal)
{
	assert(nth > 0 && signal != 0);
	set_plan(step, nth, signal, NULL, NULL);
}

void
testpoint_plan_call(const char *step, unsigned nth, void (*fn)(const char *step, void *arg),
    void *arg)
{
	assert(nth > 0 && fn != NULL);
	set_plan(step, nth, 0, fn, arg);
}

void
testpoint_forget(void)
{
	atomic_store(&plan.nth, 0);
}

void
testpoint_record(struct testpoint_steps *s)
{
	recorded = s;
}

void
testpoint_watch(void (*watch)(const char *step))
{
	watcher = watch;
}

static void
record(const char *step)
{
	unsigned n = atomic_fetch_add(&recorded->count, 1);

	if (n < TESTPOINT_STEPS_MOST)
		snprintf(recorded->names[n], TESTPOINT_NAME_SIZE, "%s", step);
}

void
testpoint_reach(const char *step)
{
	unsigned nth = atomic_load(&plan.nth);

	if (recorded != NULL)
		record(step);
	if (watcher != NULL)
		watcher(step);
	if (nth == 0 || (plan.step != NULL && strcmp(plan.step, step) != 0))
		return;
	if (atomic_fetch_add(&plan.reached, 1) + 1 != nth)
		return;
	if (plan.signal != 0)
		(void)kill(getpid(), plan.signal);
	else
		plan.fn(step, plan.arg);
}

/*
 * Opens the log at the first use. A forked child shares its parent's descriptor, which O_APPEND
 * allows.
 */
static int
log_fd(void)
{
	static atomic_int shared = -1;
	const char *path;
	int fd = atomic_load(&shared), none = -1;

	if (fd >= 0)
		return fd;
	path = getenv("NONCE_LOG");
	if (path == NULL || path[0] == '\0')
		return -1;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		perror(path);
		abort();
	}
	if (!atomic_compare_exchange_strong(&shared, &none, fd)) {
		(void)close(fd);
		fd = none;
	}
	return fd;
}

void
testpoint_nonce(const uint8_t key[32], const uint8_t nonce[12], uint32_t first, uint32_t count)
{
	/* Aligned, so that a page fault in the middle of it cannot cut its write in two. */
	_Alignas(sizeof(struct nonce_record)) struct nonce_record record = { .first = first,
		.count = count };
	uint8_t hash[SHA256_DIGEST_LENGTH];
	int fd = log_fd();

	if (fd < 0)
		return;
	if (SHA256(key, 32, hash) == NULL)
		abort();
	memcpy(record.key, hash, sizeof record.key);
	memcpy(record.nonce, nonce, sizeof record.nonce);
	/* One write, so that records of several processes do not mix. */
	if (write(fd, &record, sizeof record) != (ssize_t)sizeof record) {
		perror("NONCE_LOG");
		abort();
	}
}
