#include "common/server/core/handlers.h"

#include <errno.h>
#include <string.h>

#include "common/server/core/closing.h"
#include "common/server/core/core.h"
#include "common/server/core/reply.h"
#include "common/server/core/request.h"

static int
reply_empty(struct session *s, const struct request *q)
{
	reply_status(s, q->tag, 0);
	return 0;
}

int
handlers_new_fdtable(struct session *s, struct request *q)
{
	if (!request_is_complete(q))
		return -EPROTO;
	closing_close_table(s, true);
	s->has_table = true;
	return reply_empty(s, q);
}

int
handlers_fork(struct session *s, struct request *q)
{
	uint64_t ident;
	int error;

	if (!request_is_complete(q))
		return -EPROTO;
	error = forks_create(&s->server->forks, &s->forks, &s->table, s->version, &ident);
	if (error != 0)
		return error;
	error = reply_u64(s, q->tag, ident);
	if (error != 0)
		forks_cancel(&s->server->forks, ident);
	return error;
}

int
handlers_child_attach(struct session *s, struct request *q)
{
	uint64_t ident = wire_get_u64(&q->body);
	struct fdtable table;
	int error;

	if (!request_is_complete(q))
		return -EPROTO;
	fdtable_init(&table, s->table.account);
	error = forks_take(&s->server->forks, ident, s->version, s, &table);
	if (error != 0)
		return error;
	closing_close_table(s, true);
	s->table = table;
	s->has_table = true;
	return reply_empty(s, q);
}

/* Reads length and name, which end a body whose flags are valid or not, and checks them. */
static int
get_name(const struct session *s, struct request *q, bool flags_are_valid, const char **name,
    uint32_t *size)
{
	const struct store_ops *store = s->server->store;

	*size = wire_get_u32(&q->body);
	if (q->body.failed || *size != q->body.left + q->missing)
		return -EPROTO;
	if (!flags_are_valid)
		return -EINVAL;
	if (*size >= store->name_limit)
		return -ENAMETOOLONG;
	if (q->missing != 0)
		return q->missing_error;
	*name = (const char *)wire_get_bytes(&q->body, *size);
	if (*size == 0 || memchr(*name, '\0', *size) != NULL)
		return -EINVAL;
	return store->check_name(*name, *size);
}

/* Opens a file for a new descriptor. */
static int
open_desc(struct session *s, const struct request *q, const char *name, uint32_t size,
    uint32_t flags, struct desc **out)
{
	struct memfile *file;
	int error;

	error = memfile_get(&s->server->files, name, size, flags, s->version, s->account, &file);
	if (error == -EINPROGRESS && q->is_late)
		error = -EIO;
	if (error != 0)
		return error;
	error = fdtable_open(&s->table, file, s, out);
	if (error != 0)
		memfile_put(file);
	return error;
}

/* Executes OPEN, and OPEN2 behind its flags. */
static int
open_file(struct session *s, struct request *q, uint32_t flags)
{
	bool flags_are_valid = flags == 0 || flags == PROTOCOL_OPEN_CREATE ||
	    flags == (PROTOCOL_OPEN_CREATE | PROTOCOL_OPEN_EXCLUSIVE);
	const char *name = NULL;
	struct wire_writer w;
	struct desc *d;
	uint32_t size;
	int error;

	error = get_name(s, q, flags_are_valid, &name, &size);
	if (error == 0)
		error = open_desc(s, q, name, size, flags, &d);
	if (error != 0)
		return error;
	error = reply_begin(s, q->tag, 4, &w);
	if (error != 0) {
		fdtable_close(&s->table, d);
		return error;
	}
	wire_put_u32(&w, d->fd);
	return 0;
}

int
handlers_open(struct session *s, struct request *q)
{
	return open_file(s, q, PROTOCOL_OPEN_CREATE);
}

int
handlers_open2(struct session *s, struct request *q)
{
	uint32_t flags = wire_get_u32(&q->body);

	return open_file(s, q, flags);
}

int
handlers_close(struct session *s, struct request *q)
{
	uint32_t fd = wire_get_u32(&q->body);
	struct desc *d;
	int error;

	if (!request_is_complete(q))
		return -EPROTO;
	error = fdtable_find(&s->table, fd, &d);
	if (error != 0)
		return error;
	closing_close(d, true);
	return reply_empty(s, q);
}

int
handlers_mmap(struct session *s, struct request *q)
{
	const struct server_config *config = &s->server->config;
	uint32_t fd = wire_get_u32(&q->body);
	uint32_t size = wire_get_u32(&q->body);
	struct desc *d;
	int error;

	if (!request_is_complete(q))
		return -EPROTO;
	error = fdtable_find(&s->table, fd, &d);
	if (error == 0)
		error = memfile_map(d->file, size, config->segment_limit);
	if (error == -EINPROGRESS && q->is_late)
		error = -ENOMEM;
	return error != 0 ? error : reply_empty(s, q);
}
