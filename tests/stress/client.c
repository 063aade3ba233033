#include "tests/stress/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/stress/daemon.h"
#include "tests/stress/pki.h"

enum { CONF_SIZE = SCRATCH_PATH_SIZE + 32, ADDRESS_SIZE = DAEMON_PATH_SIZE + 8 };

/* One mount file a call: processes make theirs at the same time. */
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
	char address[ADDRESS_SIZE];

	snprintf(address, sizeof address, "unix:%s", d->socket);
	return client_create_as(d, address, "client", NULL);
}
