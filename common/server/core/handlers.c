#include "common/server/core/handlers.h"

#include <errno.h>
#include <string.h>

#include "common/server/core/claims.h"
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
	claims_close_table(s, true);
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
	claims_close_table(s, true);
	s->table = table;
	s->has_table = true;
	return reply_empty(s, q);
}

int
handlers_open(struct session *s, struct request *q)
{
	const struct store_ops *store = s->server->store;
	uint32_t size = wire_get_u32(&q->body);
	struct wire_writer w;
	struct memfile *file;
	struct desc *d;
	const char *name;
	int error;

	if (q->body.failed || size != q->body.left + q->missing)
		return -EPROTO;
	if (size >= store->name_limit)
		return -ENAMETOOLONG;
	if (q->missing != 0)
		return q->missing_error;
	name = (const char *)wire_get_bytes(&q->body, size);
	if (size == 0 || memchr(name, '\0', size) != NULL)
		return -EINVAL;
	error = store->check_name(name, size);
	if (error != 0)
		return error;
	error = memfile_get(&s->server->files, name, size, s->version, s->account, &file);
	if (error == -EINPROGRESS && q->is_late)
		error = -EIO;
	if (error != 0)
		return error;
	error = fdtable_open(&s->table, file, s, &d);
	if (error != 0) {
		memfile_put(file);
		return error;
	}
	error = reply_begin(s, q->tag, 4, &w);
	if (error != 0) {
		fdtable_close(&s->table, d);
		return error;
	}
	wire_put_u32(&w, d->fd);
	return 0;
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
	claims_close(d, true);
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
