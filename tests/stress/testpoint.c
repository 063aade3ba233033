#include "tests/stress/testpoint.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With these the header of the product declares what is defined here. */
#define TESTPOINTS
#include "common/base/testpoint.h"

static const char *planned_step;
static unsigned planned_count; /* still to be reached; 0: no plan */
static int planned_signal;
static void (*watcher)(const char *);

void
testpoint_plan(const char *step, unsigned nth, int signal)
{
	planned_step = step;
	planned_count = nth;
	planned_signal = signal;
}

void
testpoint_forget(void)
{
	planned_count = 0;
}

void
testpoint_watch(void (*watch)(const char *step))
{
	watcher = watch;
}

void
testpoint_reach(const char *step)
{
	if (watcher != NULL)
		watcher(step);
	if (planned_count == 0 || (planned_step != NULL && strcmp(planned_step, step) != 0))
		return;
	if (--planned_count == 0)
		raise(planned_signal);
}

/* A use of key stream, as tests/nonces/check.c reads it. The key itself is not written anywhere. */
struct record {
	uint8_t key_hash[16];
	uint8_t nonce[12];
	uint32_t first;
	uint32_t count;
};

static int
log_fd(void)
{
	static int fd = -2;
	const char *path;

	if (fd == -2) {
		path = getenv("NONCE_LOG");
		fd = path == NULL ? -1 :
				    open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (path != NULL && fd < 0) {
			perror(path);
			abort();
		}
	}
	return fd;
}

void
testpoint_nonce(const uint8_t key[32], const uint8_t nonce[12], uint32_t first, uint32_t count)
{
	struct record r = { .first = first, .count = count };
	uint8_t hash[SHA256_DIGEST_LENGTH];
	int fd = log_fd();

	if (fd < 0)
		return;
	SHA256(key, 32, hash);
	memcpy(r.key_hash, hash, sizeof r.key_hash);
	memcpy(r.nonce, nonce, sizeof r.nonce);
	/* One write, to the end of the file: records of several processes do not mix. */
	if (write(fd, &r, sizeof r) != sizeof r) {
		perror("NONCE_LOG");
		abort();
	}
}
