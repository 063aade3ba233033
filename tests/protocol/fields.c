#include "tests/protocol/fields.h"

#include <string.h>

#include "common/wire/inspect.h"
#include "common/wire/protocol.h"
#include "tests/protocol/reply.h"

static void
add_number(struct fields *f, const char *name, uint64_t number)
{
	f->list[f->count++] = (struct field){ .name = name, .number = number };
}

static void
add_bytes(struct fields *f, const char *name, enum field_kind kind, size_t size)
{
	const uint8_t *bytes = wire_get_bytes(&f->rest, size);

	if (bytes != NULL)
		f->list[f->count++] =
		    (struct field){ .name = name, .kind = kind, .bytes = bytes, .size = size };
}

static void
add_u32(struct fields *f, const char *name)
{
	add_number(f, name, wire_get_u32(&f->rest));
}

static void
add_u64(struct fields *f, const char *name)
{
	add_number(f, name, wire_get_u64(&f->rest));
}

static void
add_stat(struct fields *f, const struct protocol_stat *stat)
{
	add_number(f, "life", stat->life);
	add_number(f, "size", stat->size);
	add_number(f, "committed", stat->committed);
	add_number(f, "type", stat->type);
	add_number(f, "version", stat->version);
	add_number(f, "open", stat->open_count);
	add_number(f, "waiters", stat->waiters);
	add_number(f, "grants", stat->grants);
}

static void
add_hello(struct fields *f)
{
	add_u32(f, "version");
	add_u32(f, "features");
	add_u32(f, "block");
	add_u32(f, "largest");
	add_bytes(f, "instance", FIELD_BYTES, PROTOCOL_INSTANCE_ID_SIZE);
}

/* Adds a u32 size and the bytes after it, as one field. */
static void
add_counted_bytes(struct fields *f, const char *name)
{
	uint32_t size = wire_get_u32(&f->rest);

	add_bytes(f, name, FIELD_BYTES, size);
}

static void
add_lock(struct fields *f, bool is_smuf)
{
	add_number(f, "type", wire_get_u8(&f->rest));
	if (f->list[0].number != PROTOCOL_TYPE_SEGMENT)
		return;
	if (is_smuf) {
		add_counted_bytes(f, "iv");
		add_counted_bytes(f, "key");
		add_counted_bytes(f, "tag");
		return;
	}
	add_u32(f, "size");
	add_bytes(f, "bytes", FIELD_BYTES, f->list[1].number);
}

void
fields_get(const struct reply *r, struct fields *f)
{
	struct protocol_holder holder;
	struct protocol_stat stat;

	*f = (struct fields){ .rest = wire_reader(r->body, r->size) };
	if (r->status != 0)
		return;
	switch (r->op) {
	case OP_FORK:
		add_u64(f, "ident");
		break;
	case OP_OPEN:
	case OP_OPEN2:
		add_u32(f, "fd");
		break;
	case OP_LOCK:
		add_lock(f, r->is_smuf);
		break;
	case OP_HELLO:
		add_hello(f);
		break;
	case OP_ACQUIRE:
		add_u64(f, "grant");
		add_u64(f, "version");
		if (f->rest.left > 0)
			add_bytes(f, "delta", r->is_smuf ? FIELD_SEALED_DELTA : FIELD_DELTA,
			    f->rest.left);
		break;
	case OP_RELEASE:
		add_u64(f, "version");
		break;
	case OP_STAT:
		protocol_get_stat(&f->rest, &stat);
		add_stat(f, &stat);
		if (f->rest.left == 0)
			break;
		protocol_get_holder(&f->rest, &holder);
		add_number(f, "mode", holder.mode);
		add_number(f, "pid", holder.pid);
		break;
	case OP_INSPECT:
		add_u64(f, "next");
		add_u32(f, "count");
		break;
	}
}

const uint8_t *
fields_sealed_begin(struct wire_reader *delta, uint32_t *left)
{
	const uint8_t *key = wire_get_bytes(delta, FIELDS_KEY_SIZE);

	*left = wire_get_u32(delta);
	return delta->failed ? NULL : key;
}

bool
fields_sealed_next(struct wire_reader *delta, uint32_t *left, struct fields_sealed *out)
{
	if (*left == 0 || delta->failed)
		return false;
	--*left;
	out->block = wire_get_u32(delta);
	out->version = wire_get_u64(delta);
	out->slot = wire_get_u8(delta);
	out->tag = wire_get_bytes(delta, FIELDS_TAG_SIZE);
	return !delta->failed;
}

static void
add_string(struct fields *f, const char *name, struct inspect_string s)
{
	f->list[f->count++] = (struct field){ .name = name,
		.kind = FIELD_BYTES,
		.bytes = (const uint8_t *)s.data,
		.size = s.size };
}

static void
add_inspected_server(struct fields *f, struct wire_reader *records)
{
	struct inspect_server s;

	inspect_get_server(records, &s);
	add_number(f, "version", s.version);
	add_number(f, "uptime", s.uptime_ms);
	add_number(f, "sessions", s.sessions);
	add_number(f, "handshakes", s.handshakes);
	add_number(f, "files", s.files);
	add_number(f, "segments", s.segments);
	add_number(f, "memory", s.memory);
	add_number(f, "segments_limit", s.segments_limit);
	add_number(f, "memory_limit", s.memory_limit);
	add_number(f, "requests", s.requests);
	add_number(f, "grants", s.grants);
	add_number(f, "lost", s.lines_lost);
	add_number(f, "longest", s.longest_turn_us);
	add_number(f, "recent", s.recent_turn_us);
}

static void
add_inspected_file(struct fields *f, struct wire_reader *records)
{
	struct inspect_file i;

	inspect_get_file(records, &i);
	add_string(f, "name", i.name);
	add_number(f, "key", i.key);
	add_stat(f, &i.stat);
	add_number(f, "holder", i.holder);
	add_number(f, "held", i.held_ms);
	add_number(f, "bytes_granted", i.bytes_granted);
	add_number(f, "bytes_released", i.bytes_released);
	add_number(f, "waited", i.waited_ms);
}

static void
add_inspected_session(struct fields *f, struct wire_reader *records)
{
	struct inspect_session s;

	inspect_get_session(records, &s);
	add_number(f, "key", s.key);
	add_number(f, "age", s.age_ms);
	add_number(f, "version", s.version);
	add_number(f, "descriptors", s.descriptors);
	add_number(f, "held", s.held);
	add_number(f, "waiting", s.waiting);
	add_number(f, "requests", s.requests);
	add_number(f, "in", s.bytes_in);
	add_number(f, "out", s.bytes_out);
	add_number(f, "memory", s.memory);
	add_number(f, "unsent", s.unsent);
	add_number(f, "longest", s.longest_turn_us);
	add_string(f, "peer", s.peer);
	add_string(f, "address", s.address);
}

static void
add_reload(struct fields *f, struct wire_reader *records)
{
	struct inspect_reload l;

	inspect_get_reload(records, &l);
	add_number(f, "failed", l.failed);
	add_number(f, "lists", l.has_lists);
	add_number(f, "revoked", l.revoked);
	add_number(f, "valid", l.valid_s);
	add_number(f, "ending", l.ending);
	add_string(f, "reason", l.reason);
}

bool
fields_next_record(struct wire_reader *records, uint8_t what, struct fields *f)
{
	if (records->left == 0 || records->failed)
		return false;
	f->count = 0;
	if (what == PROTOCOL_INSPECT_SERVER)
		add_inspected_server(f, records);
	else if (what == PROTOCOL_INSPECT_FILES)
		add_inspected_file(f, records);
	else if (what == PROTOCOL_INSPECT_RELOAD)
		add_reload(f, records);
	else
		add_inspected_session(f, records);
	return !records->failed;
}

struct field *
fields_find(struct fields *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->count; i++)
		if (strcmp(f->list[i].name, name) == 0)
			return &f->list[i];
	return NULL;
}
