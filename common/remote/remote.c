#include "common/remote/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/forkhooks.h"
#include "common/client/mount.h"

int
remote_fail(const struct remote *r, enum protocol_op op, const char *name, int error)
{
	char text[128];

	return error_message(error, "%s: %s %s: %s", r->target.addr->text, protocol_op_name(op),
	    name, dial_describe(r->mux, error, text, sizeof text));
}

/* Makes the path of a unix socket absolute. */
static int
resolve_socket(struct addr *a, const struct mount *m)
{
	char *path;
	int error;

	if (a->kind != ADDR_UNIX)
		return 0;
	error = mount_resolve(&path, m->base, a->name);
	if (error != 0)
		return error;
	error = addr_set_path(a, path);
	if (error != 0)
		error_message(error, "%s: the path of the socket is too long", path);
	free(path);
	return error;
}

int
remote_configure(struct mount *m, const char *uri)
{
	static const char *const schemes[] = { "unix:", "abstract:", "pipe:", "tcp:" };
	size_t i, count = sizeof schemes / sizeof schemes[0];
	struct remote_mount *rm;
	int error;

	for (i = 0; i < count && strncmp(uri, schemes[i], strlen(schemes[i])) != 0; i++)
		continue;
	if (i == count)
		return error_message(-EINVAL,
		    "%s: a URI begins with unix:, abstract:, pipe: or tcp:", uri);
	rm = calloc(1, sizeof *rm);
	if (rm == NULL)
		return -ENOMEM;
	TAILQ_INIT(&rm->remotes);
	m->backend_state = rm;
	error = addr_parse(&rm->addr, uri, 0);
	if (error != 0)
		return error;
	if (rm->addr.kind == ADDR_TCP && *rm->addr.host == '\0')
		return error_message(-EINVAL, "%s: the host is missing", uri);
	return resolve_socket(&rm->addr, m);
}

/* Ends the connection. As long as it is listed, a forked child knows the socket and closes it. */
static void
close_connection(struct remote *r)
{
	struct remote_mount *rm = r->mount->backend_state;

	(void)pthread_mutex_lock(&r->mount->lists);
	if (r->mux != NULL)
		TAILQ_REMOVE(&rm->remotes, r, link);
	inherit_fini(&r->inherit);
	mux_destroy(r->mux);
	(void)pthread_mutex_unlock(&r->mount->lists);
}

void
remote_put(struct remote *r)
{
	if (r == NULL || --r->references > 0)
		return;
	if (r->mux != NULL && !mux_has_ended(r->mux))
		inherit_reclaim(&r->inherit);
	close_connection(r);
	free(r);
}

static void
drop_current(struct remote_mount *rm)
{
	struct remote *r = rm->current;

	rm->current = NULL;
	remote_put(r);
}

void
remote_detach(struct mount *m)
{
	if (m->backend_state != NULL)
		drop_current(m->backend_state);
	free(m->backend_state);
	m->backend_state = NULL;
}

const struct addr *
remote_address(const struct mount *m)
{
	const struct remote_mount *rm = m->backend_state;

	return rm == NULL ? NULL : &rm->addr;
}

bool
remote_is_connected(const struct mount *m)
{
	const struct remote_mount *rm = m->backend_state;

	return rm->current != NULL;
}

bool
remote_is_shared(const struct remote *r)
{
	const struct remote_mount *rm = r->mount->backend_state;
	unsigned mine = rm->current == r ? 2 : 1;

	return r->references > mine;
}

/*
 * Lists the connection. Returns false if there has been a fork since forkhooks_count() was forks:
 * its child does not know the socket, but has inherited it.
 */
static bool
list(struct remote *r, struct mux *mux, unsigned forks)
{
	struct remote_mount *rm = r->mount->backend_state;
	bool is_ours;

	(void)pthread_mutex_lock(&r->mount->lists);
	is_ours = forkhooks_count() == forks;
	if (is_ours) {
		r->mux = mux;
		TAILQ_INSERT_TAIL(&rm->remotes, r, link);
	}
	(void)pthread_mutex_unlock(&r->mount->lists);
	return is_ours;
}

/* Connects, and gets an empty table of descriptors. */
static int
connect_to(struct remote *r, uint64_t until)
{
	struct mux *mux;
	unsigned forks;
	int error;

	for (;;) {
		forks = forkhooks_count();
		error = dial_connect(&r->target, &mux, &r->terms, until);
		if (error != 0)
			return error;
		if (list(r, mux, forks))
			break;
		dial_end(mux);
	}
	error = dial_new_table(mux, until);
	return error != 0 ? dial_fail(&r->target, mux, error) : 0;
}

/* Makes the connection for new files. */
static int
connect_mount(struct mount *m, struct tls_context *tls, bool speaks_version_1, uint64_t until)
{
	struct remote_mount *rm = m->backend_state;
	struct remote *r;
	int error;

	r = calloc(1, sizeof *r);
	if (r == NULL)
		return -ENOMEM;
	r->references = 1;
	r->mount = m;
	r->target = (struct dial_target){
		.addr = &rm->addr,
		.name = m->name,
		.tls = tls,
		.speaks_version_1 = speaks_version_1,
		.silence = m->silence,
	};
	inherit_init(&r->inherit, &r->target);
	error = connect_to(r, until);
	if (error != 0) {
		remote_put(r);
		return error;
	}
	rm->current = r;
	return 0;
}

int
remote_get(struct remote **out, struct mount *m, struct tls_context *tls, bool speaks_version_1,
    uint64_t until)
{
	struct remote_mount *rm = m->backend_state;
	int error;

	if (rm->current != NULL &&
	    (remote_attach(rm->current, until) != 0 || !mux_is_alive(rm->current->mux)))
		drop_current(rm);
	if (rm->current == NULL) {
		error = connect_mount(m, tls, speaks_version_1, until);
		if (error != 0)
			return error;
	}
	rm->current->references++;
	*out = rm->current;
	return 0;
}

bool
remote_fork_ready(struct mount *m, uint64_t until)
{
	struct remote_mount *rm = m->backend_state;
	bool is_ready = true;
	struct remote *r;

	TAILQ_FOREACH(r, &rm->remotes, link)
		if (!inherit_fork_ready(&r->inherit, &r->mux, &r->terms, until))
			is_ready = false;
	/* There will be no child for the copies: they are orphans. */
	TAILQ_FOREACH(r, &rm->remotes, link)
		if (!is_ready)
			inherit_fork_cancel(&r->inherit);
	return is_ready;
}

void
remote_fork_prepare(struct mount *m)
{
	struct remote_mount *rm = m->backend_state;
	struct remote *r;

	TAILQ_FOREACH(r, &rm->remotes, link) {
		inherit_fork_prepare(&r->inherit);
		mux_fork_prepare(r->mux);
	}
}

void
remote_fork_parent(struct mount *m)
{
	struct remote_mount *rm = m->backend_state;
	struct remote *r;

	TAILQ_FOREACH(r, &rm->remotes, link) {
		mux_fork_parent(r->mux);
		inherit_fork_parent(&r->inherit);
	}
}

void
remote_fork_child(struct mount *m, bool is_prepared)
{
	struct remote_mount *rm = m->backend_state;
	struct remote *r;

	TAILQ_FOREACH(r, &rm->remotes, link) {
		mux_fork_child(r->mux, is_prepared);
		inherit_fork_child(&r->inherit, is_prepared);
	}
}
