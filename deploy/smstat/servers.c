#include "deploy/smstat/servers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/mount.h"
#include "common/crypto/tls_context.h"
#include "common/remote/remote.h"

bool
servers_is_address(const char *text)
{
	static const char *const schemes[] = { "unix:", "abstract:", "pipe:", "tcp:" };
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
			return true;
	return stat(text, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Adds the server of a mount, unless it is there. Returns 0 or -ENOMEM. */
static int
add(struct servers *s, const struct mount *m)
{
	const struct addr *addr = remote_address(m);
	struct servers_one *grown;
	size_t i;

	for (i = 0; i < s->count; i++)
		if (strcmp(s->at[i].target.addr->text, addr->text) == 0)
			return 0;
	grown = reallocarray(s->at, s->count + 1, sizeof *grown);
	if (grown == NULL)
		return -ENOMEM;
	s->at = grown;
	s->at[s->count++] = (struct servers_one){
		.target = {
			.addr = addr,
			.name = m->name,
			.tls = s->file.tls,
			.silence = m->silence,
		},
		.type = m->ops->type,
		.certificate = s->file.cert_file,
	};
	return 0;
}

/* Adds the servers of all mounts, or that of the mount at a point in normal form. */
static int
add_mounts(struct servers *s, const char *point)
{
	const struct mount *m;
	int error = 0;

	TAILQ_FOREACH(m, &s->file.mounts, link)
		if (error == 0 && remote_address(m) != NULL &&
		    (point == NULL || strcmp(m->point, point) == 0))
			error = add(s, m);
	return error;
}

int
servers_load(struct servers *s, const char *path, const char *point)
{
	char normal[MOUNT_PATH_SIZE];
	int error;

	TAILQ_INIT(&s->file.mounts);
	error = mountfile_load(&s->file, path);
	if (error == 0 && point != NULL)
		error = mount_normalize(normal, point);
	if (error == 0)
		error = add_mounts(s, point == NULL ? NULL : normal);
	if (error != 0 || s->count > 0)
		return error;
	if (point == NULL)
		return error_message(-ENOENT, "%s: no MOUNT there has a server", path);
	return error_message(-ENOENT, "%s: no MOUNT there has a server and is at %s", path, point);
}

/* Makes the TLS context of -Z. */
static int
create_tls(struct servers *s, const struct servers_keys *keys)
{
	struct tls_config config = {
		.role = TLS_CLIENT,
		.ca_file = keys->ca,
		.cert_file = keys->certificate,
		.key_file = keys->key,
		.crl_file = keys->crl,
	};
	char reason[TLS_REASON_SIZE] = "";
	int error = tls_context_create(&s->tls, &config, reason);

	return error == 0 || *reason == '\0' ? error : error_message(error, "%s", reason);
}

int
servers_set(struct servers *s, const struct addr *address, const struct servers_keys *keys)
{
	int error = 0;

	TAILQ_INIT(&s->file.mounts);
	s->addr = *address;
	if (keys->ca != NULL)
		error = create_tls(s, keys);
	if (error != 0)
		return error;
	s->at = calloc(1, sizeof *s->at);
	if (s->at == NULL)
		return -ENOMEM;
	s->count = 1;
	*s->at = (struct servers_one){
		.target = {
			.addr = &s->addr,
			.name = keys->name,
			.tls = s->tls,
			.silence = MOUNT_SILENCE_DEFAULT * CLOCK_SEC,
		},
		.certificate = keys->certificate,
	};
	return 0;
}

void
servers_fini(struct servers *s)
{
	mountfile_fini(&s->file);
	tls_context_destroy(s->tls);
	free(s->at);
	*s = (struct servers){ .count = 0 };
}
