#include "deploy/smstat/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/remote/mux.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"

enum { REQUEST_SIZE = 1 + 8, ROOM_LEAST = 64 };

/* A copy of the records of a reply. */
struct snapshot_page {
	SLIST_ENTRY(snapshot_page) link;
	uint8_t bytes[];
};

/* One listing: of the server, of its files or of its sessions. */
struct listing {
	struct snapshot *snapshot;
	uint8_t what;  /* enum protocol_inspect */
	uint64_t last; /* the key of the last record; 0: none has come */
};

/* Makes room for one more element. Returns the array, or NULL when there is no memory. */
static void *
make_room(void *array, size_t count, size_t *room, size_t element_size)
{
	size_t more = *room == 0 ? ROOM_LEAST : 2 * *room;

	if (count < *room)
		return array;
	array = reallocarray(array, more, element_size);
	if (array != NULL)
		*room = more;
	return array;
}

static int
add_file(struct snapshot *s, struct wire_reader *records, uint64_t *key)
{
	struct inspect_file *grown;
	struct inspect_file f;

	inspect_get_file(records, &f);
	if (records->failed)
		return -EPROTO;
	grown = make_room(s->files, s->file_count, &s->file_room, sizeof f);
	if (grown == NULL)
		return -ENOMEM;
	s->files = grown;
	s->files[s->file_count++] = f;
	*key = f.key;
	return 0;
}

static int
add_session(struct snapshot *s, struct wire_reader *records, uint64_t *key)
{
	struct inspect_session *grown;
	struct inspect_session i;

	inspect_get_session(records, &i);
	if (records->failed)
		return -EPROTO;
	grown = make_room(s->sessions, s->session_count, &s->session_room, sizeof i);
	if (grown == NULL)
		return -ENOMEM;
	s->sessions = grown;
	s->sessions[s->session_count++] = i;
	*key = i.key;
	return 0;
}

/* Adds the next record to the snapshot; its key must be above that of the one before. */
static int
add_record(struct listing *l, struct wire_reader *records)
{
	uint64_t key = 0;
	int error;

	if (l->what == PROTOCOL_INSPECT_SERVER) {
		inspect_get_server(records, &l->snapshot->server);
		return records->failed ? -EPROTO : 0;
	}
	error = l->what == PROTOCOL_INSPECT_FILES ? add_file(l->snapshot, records, &key) :
						    add_session(l->snapshot, records, &key);
	if (error == 0 && key <= l->last)
		error = -EPROTO;
	l->last = key;
	return error;
}

/* Copies what is left of the reply into a page of the snapshot. Returns 0, -EMSGSIZE or -ENOMEM. */
static int
copy_page(struct snapshot *s, struct wire_reader *reply)
{
	size_t size = reply->left;
	const uint8_t *bytes = wire_get_bytes(reply, size);
	struct snapshot_page *page;

	if (s->page_count == SNAPSHOT_PAGES_MOST)
		return -EMSGSIZE;
	page = malloc(sizeof *page + size);
	if (page == NULL)
		return -ENOMEM;
	if (size > 0)
		memcpy(page->bytes, bytes, size);
	SLIST_INSERT_HEAD(&s->pages, page, link);
	s->page_count++;
	*reply = wire_reader(page->bytes, size);
	return 0;
}

/* Reads a page; *next is that of the reply. */
static int
read_page(struct listing *l, struct wire_reader reply, uint64_t *next)
{
	uint32_t count;
	int error;

	*next = wire_get_u64(&reply);
	count = wire_get_u32(&reply);
	if (reply.failed || (l->what == PROTOCOL_INSPECT_SERVER && count != 1))
		return -EPROTO;
	error = copy_page(l->snapshot, &reply);
	for (; error == 0 && count > 0; count--)
		error = add_record(l, &reply);
	if (error != 0)
		return error;
	/* The next page begins behind this one, or there is none. */
	return wire_is_done(&reply) && (*next == 0 || *next == l->last) ? 0 : -EPROTO;
}

/* Asks for the page behind the last record. */
static int
ask(struct listing *l, struct mux *mux, struct mux_limit limit, uint64_t *next)
{
	uint64_t after = l->last;
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error != 0)
		return error;
	mux_begin_call(mux, &c, OP_INSPECT, REQUEST_SIZE, PROTOCOL_SMALL_BODY_MOST);
	mux_put_u8(mux, l->what);
	mux_put_u64(mux, after);
	error = mux_send(mux);
	if (error == 0)
		error = mux_wait(mux, &c, limit);
	if (error == 0)
		error = read_page(l, c.reply, next);
	/* A page that brings nothing new leads nowhere. */
	if (error == 0 && *next != 0 && *next == after)
		error = -EPROTO;
	if (error != 0 && error != -ENOSYS)
		(void)mux_abort(mux, error);
	mux_end_call(mux, &c);
	return error;
}

static int
list(struct snapshot *s, struct mux *mux, struct mux_limit limit, uint8_t what)
{
	struct listing l = { .snapshot = s, .what = what };
	uint64_t next = 0;
	int error;

	do
		error = ask(&l, mux, limit, &next);
	while (error == 0 && next != 0);
	return error;
}

int
snapshot_take(struct snapshot **out, struct mux *mux, uint64_t until)
{
	struct mux_limit limit = mux_limit(mux, until);
	struct snapshot *s = calloc(1, sizeof *s);
	int error;

	if (s == NULL)
		return -ENOMEM;
	SLIST_INIT(&s->pages);
	error = list(s, mux, limit, PROTOCOL_INSPECT_SERVER);
	s->taken = clock_now();
	if (error == 0)
		error = list(s, mux, limit, PROTOCOL_INSPECT_FILES);
	/* A holder's session has begun before the lock was given to it. */
	if (error == 0)
		error = list(s, mux, limit, PROTOCOL_INSPECT_SESSIONS);
	if (error != 0)
		snapshot_destroy(s);
	else
		*out = s;
	return error;
}

void
snapshot_destroy(struct snapshot *s)
{
	struct snapshot_page *page;

	if (s == NULL)
		return;
	while ((page = SLIST_FIRST(&s->pages)) != NULL) {
		SLIST_REMOVE_HEAD(&s->pages, link);
		free(page);
	}
	free(s->files);
	free(s->sessions);
	free(s);
}

static int
compare_keys(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int
compare_file(const void *key, const void *file)
{
	return compare_keys(*(const uint64_t *)key, ((const struct inspect_file *)file)->key);
}

static int
compare_session(const void *key, const void *session)
{
	return compare_keys(*(const uint64_t *)key, ((const struct inspect_session *)session)->key);
}

const struct inspect_file *
snapshot_file(const struct snapshot *s, uint64_t key)
{
	if (s->file_count == 0)
		return NULL;
	return bsearch(&key, s->files, s->file_count, sizeof *s->files, compare_file);
}

const struct inspect_session *
snapshot_session(const struct snapshot *s, uint64_t key)
{
	if (s->session_count == 0)
		return NULL;
	return bsearch(&key, s->sessions, s->session_count, sizeof *s->sessions, compare_session);
}
