#include "common/wire/inspect.h"

#include <string.h>

#include "common/wire/wire.h"

enum {
	LENGTH_SIZE = 2,
	SERVER_SIZE = PROTOCOL_INSTANCE_ID_SIZE + 4 + 8 + 3 * 4 + 4 * 8 + 3 * 8 + 2 * 4,
	FILE_SIZE = 8 + PROTOCOL_STAT_SIZE + 8 + 4 + 3 * 8 + LENGTH_SIZE,
	SESSION_SIZE = 2 * 8 + 1 + 3 * 4 + 4 * 8 + 2 * 4 + 2 * LENGTH_SIZE,
	RELOAD_SIZE = 2 * 1 + 2 * 8 + 4 + LENGTH_SIZE
};

static void
put_string(struct wire_writer *w, struct inspect_string s)
{
	wire_put_u16(w, s.size);
	wire_put_bytes(w, s.data, s.size);
}

static struct inspect_string
get_string(struct wire_reader *r)
{
	struct inspect_string s = { .size = wire_get_u16(r) };

	s.data = (const char *)wire_get_bytes(r, s.size);
	if (s.data == NULL)
		s.size = 0;
	return s;
}

/* A reader of the fields of the next record, which it takes from r. */
static struct wire_reader
begin_record(struct wire_reader *r)
{
	uint16_t size = wire_get_u16(r);
	const uint8_t *fields = wire_get_bytes(r, size);

	return wire_reader(fields, fields == NULL ? 0 : size);
}

/* The record that was read was too short: so is the message. */
static void
end_record(struct wire_reader *r, const struct wire_reader *fields)
{
	if (fields->failed)
		r->failed = true;
}

void
inspect_put_server(struct wire_writer *w, const struct inspect_server *s)
{
	wire_put_u16(w, SERVER_SIZE);
	wire_put_bytes(w, s->instance_id, sizeof s->instance_id);
	wire_put_u32(w, s->version);
	wire_put_u64(w, s->uptime_ms);
	wire_put_u32(w, s->sessions);
	wire_put_u32(w, s->handshakes);
	wire_put_u32(w, s->files);
	wire_put_u64(w, s->segments);
	wire_put_u64(w, s->memory);
	wire_put_u64(w, s->segments_limit);
	wire_put_u64(w, s->memory_limit);
	wire_put_u64(w, s->requests);
	wire_put_u64(w, s->grants);
	wire_put_u64(w, s->lines_lost);
	wire_put_u32(w, s->longest_turn_us);
	wire_put_u32(w, s->recent_turn_us);
}

void
inspect_get_server(struct wire_reader *r, struct inspect_server *s)
{
	struct wire_reader fields = begin_record(r);
	const uint8_t *id = wire_get_bytes(&fields, sizeof s->instance_id);

	*s = (struct inspect_server){ 0 };
	if (id != NULL)
		memcpy(s->instance_id, id, sizeof s->instance_id);
	s->version = wire_get_u32(&fields);
	s->uptime_ms = wire_get_u64(&fields);
	s->sessions = wire_get_u32(&fields);
	s->handshakes = wire_get_u32(&fields);
	s->files = wire_get_u32(&fields);
	s->segments = wire_get_u64(&fields);
	s->memory = wire_get_u64(&fields);
	s->segments_limit = wire_get_u64(&fields);
	s->memory_limit = wire_get_u64(&fields);
	s->requests = wire_get_u64(&fields);
	s->grants = wire_get_u64(&fields);
	s->lines_lost = wire_get_u64(&fields);
	s->longest_turn_us = wire_get_u32(&fields);
	s->recent_turn_us = wire_get_u32(&fields);
	end_record(r, &fields);
}

void
inspect_put_file(struct wire_writer *w, const struct inspect_file *f)
{
	wire_put_u16(w, (uint16_t)(FILE_SIZE + f->name.size));
	wire_put_u64(w, f->key);
	protocol_put_stat(w, &f->stat);
	wire_put_u64(w, f->holder);
	wire_put_u32(w, f->held_ms);
	wire_put_u64(w, f->bytes_granted);
	wire_put_u64(w, f->bytes_released);
	wire_put_u64(w, f->waited_ms);
	put_string(w, f->name);
}

void
inspect_get_file(struct wire_reader *r, struct inspect_file *f)
{
	struct wire_reader fields = begin_record(r);

	f->key = wire_get_u64(&fields);
	protocol_get_stat(&fields, &f->stat);
	f->holder = wire_get_u64(&fields);
	f->held_ms = wire_get_u32(&fields);
	f->bytes_granted = wire_get_u64(&fields);
	f->bytes_released = wire_get_u64(&fields);
	f->waited_ms = wire_get_u64(&fields);
	f->name = get_string(&fields);
	end_record(r, &fields);
}

void
inspect_put_session(struct wire_writer *w, const struct inspect_session *s)
{
	wire_put_u16(w, (uint16_t)(SESSION_SIZE + s->peer.size + s->address.size));
	wire_put_u64(w, s->key);
	wire_put_u64(w, s->age_ms);
	wire_put_u8(w, s->version);
	wire_put_u32(w, s->descriptors);
	wire_put_u32(w, s->held);
	wire_put_u32(w, s->waiting);
	wire_put_u64(w, s->requests);
	wire_put_u64(w, s->bytes_in);
	wire_put_u64(w, s->bytes_out);
	wire_put_u64(w, s->memory);
	wire_put_u32(w, s->unsent);
	wire_put_u32(w, s->longest_turn_us);
	put_string(w, s->peer);
	put_string(w, s->address);
}

void
inspect_get_session(struct wire_reader *r, struct inspect_session *s)
{
	struct wire_reader fields = begin_record(r);

	s->key = wire_get_u64(&fields);
	s->age_ms = wire_get_u64(&fields);
	s->version = wire_get_u8(&fields);
	s->descriptors = wire_get_u32(&fields);
	s->held = wire_get_u32(&fields);
	s->waiting = wire_get_u32(&fields);
	s->requests = wire_get_u64(&fields);
	s->bytes_in = wire_get_u64(&fields);
	s->bytes_out = wire_get_u64(&fields);
	s->memory = wire_get_u64(&fields);
	s->unsent = wire_get_u32(&fields);
	s->longest_turn_us = wire_get_u32(&fields);
	s->peer = get_string(&fields);
	s->address = get_string(&fields);
	end_record(r, &fields);
}

void
inspect_put_reload(struct wire_writer *w, const struct inspect_reload *l)
{
	wire_put_u16(w, (uint16_t)(RELOAD_SIZE + l->reason.size));
	wire_put_u8(w, l->failed);
	wire_put_u8(w, l->has_lists);
	wire_put_u64(w, l->revoked);
	wire_put_u64(w, l->valid_s);
	wire_put_u32(w, l->ending);
	put_string(w, l->reason);
}

void
inspect_get_reload(struct wire_reader *r, struct inspect_reload *l)
{
	struct wire_reader fields = begin_record(r);

	l->failed = wire_get_u8(&fields);
	l->has_lists = wire_get_u8(&fields);
	l->revoked = wire_get_u64(&fields);
	l->valid_s = wire_get_u64(&fields);
	l->ending = wire_get_u32(&fields);
	l->reason = get_string(&fields);
	end_record(r, &fields);
}
