#include "tests/stress/client.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/pki.h"

enum { CONF_SIZE = SCRATCH_PATH_SIZE + 32 };

/* Each call writes a mount file of its own, because processes do so at the same time. */
static int
write_conf(char conf[CONF_SIZE], const struct daemon *d, const char *address,
    const char *certificate, const char *options)
{
	char path[PKI_PATH_SIZE];
	FILE *f;
	int fd;

	snprintf(conf, CONF_SIZE, "%s/conf.XXXXXX", d->dir);
	fd = mkstemp(conf);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (f == NULL)
		return -1;
	if (d->config.is_smuf)
		fprintf(f, "MOUNT %s,file:%s %s smuf %s\n", address, d->memdir, CLIENT_MOUNT,
		    options != NULL ? options : "");
	else
		fprintf(f, "MOUNT %s %s smdish %s\n", address, CLIENT_MOUNT,
		    options != NULL ? options : "");
	if (d->config.pki != NULL)
		fprintf(f, "CAFILE %s\n", pki_file(d->config.pki, "root", "crt", path));
	if (d->config.pki != NULL && certificate != NULL) {
		fprintf(f, "CERTFILE %s\n", pki_file(d->config.pki, certificate, "crt", path));
		fprintf(f, "KEYFILE %s\n", pki_file(d->config.pki, certificate, "key", path));
	}
	return fclose(f);
}

struct sm *
client_create_as(const struct daemon *d, const char *address, const char *certificate,
    const char *options)
{
	char conf[CONF_SIZE];
	struct sm *sm;
	int error;

	if (write_conf(conf, d, address, certificate, options) != 0)
		return NULL;
	sm = sm_new();
	if (sm != NULL && sm_load(sm, conf) != 0) {
		error = errno;
		sm_free(sm);
		errno = error;
		sm = NULL;
	}
	error = errno;
	unlink(conf);
	errno = error;
	return sm;
}

struct sm *
client_create(const struct daemon *d)
{
	return client_create_as(d, d->address, "client", NULL);
}

bool
client_open_file(struct client *c, const char *path, size_t size)
{
	c->file = c->sm == NULL ? NULL : sm_open(c->sm, path);
	c->segment = c->file == NULL || size == 0 ? NULL : sm_map(c->file, NULL, size);
	return c->file != NULL && (c->segment != NULL || size == 0);
}

bool
client_open(struct client *c, const struct daemon *d, const char *path, size_t size)
{
	c->sm = client_create(d);
	return client_open_file(c, path, size);
}

void
client_expect_open(struct client *c, const struct daemon *d, const char *path, size_t size)
{
	if (!client_open(c, d, path, size))
		fail_msg("%s: %s", path, sm_error(c->sm));
}

bool
client_open_new(struct client *c, const struct daemon *d, size_t size)
{
	static int count;
	char path[32];

	snprintf(path, sizeof path, CLIENT_MOUNT "/new%d", count++);
	return client_open(c, d, path, size);
}

void
client_close(struct client *c)
{
	sm_free(c->sm);
	*c = (struct client){ 0 };
}

int
client_lock_for(struct client *c, uint64_t ms)
{
	struct timespec deadline = clock_timespec(clock_after_ms(clock_now(), ms));

	return sm_timedlock(c->file, &deadline) == 0 ? 0 : errno;
}

int
client_lock_within(struct client *c, uint64_t ms)
{
	uint64_t begun = clock_now();
	int error;

	/* The load may have grown since it was measured. */
	do
		error = client_lock_for(c, patience_ms(ms));
	while (error == ETIMEDOUT && !patience_is_over(clock_now() - begun, ms));
	return error;
}

bool
client_await_waiter(struct client *c)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct sm_stat s = { 0 };

	while (s.waiters == 0 && clock_now() < deadline) {
		patience_breathe();
		if (sm_stat(c->file, &s) != 0)
			return false;
	}
	errno = ETIMEDOUT;
	return s.waiters > 0;
}
