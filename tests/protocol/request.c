#include "tests/protocol/request.h"

#include <string.h>

#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"

/* A body grows; the cursor of common/wire writes into the reserved room. */
static void
put_number(struct buf *body, uint64_t value, size_t size)
{
	uint8_t *room = buf_reserve(body, size);
	struct wire_writer w = wire_writer(room, size);

	if (size == 1)
		wire_put_u8(&w, (uint8_t)value);
	else if (size == 4)
		wire_put_u32(&w, (uint32_t)value);
	else
		wire_put_u64(&w, value);
	buf_commit(body, size);
}

/* Appends the next positional number, if there is one. */
static bool
get_optional(struct text *t, struct buf *body, size_t size)
{
	uint64_t value;

	if (!text_has_number(t))
		return true;
	if (!text_get_number(t, &value))
		return false;
	put_number(body, value, size);
	return true;
}

/* Appends a u32 size and the bytes, if there are any. */
static bool
get_counted_bytes(struct text *t, struct buf *body)
{
	struct buf bytes = { 0 };
	bool ok;

	if (!text_has_bytes(t))
		return true;
	ok = text_get_bytes(t, &bytes);
	if (ok) {
		put_number(body, buf_size(&bytes), 4);
		buf_append(body, buf_data(&bytes), buf_size(&bytes));
	}
	buf_fini(&bytes);
	return ok;
}

/* Appends the bytes of a piece; or, after a slash, slot and tag of smuf's block. */
static bool
get_piece(struct text *t, struct buf *pieces)
{
	uint64_t slot;

	if (!text_accept(t, "/"))
		return text_expect(t, ":") && get_counted_bytes(t, pieces);
	if (!text_get_number(t, &slot) || !text_expect(t, ":"))
		return false;
	put_number(pieces, slot, 1);
	return text_get_bytes(t, pieces);
}

/* Appends delta{offset:"bytes" ...}, from behind the brace. */
static bool
get_delta(struct text *t, struct buf *body)
{
	struct buf pieces = { 0 };
	uint32_t count = 0;
	uint64_t offset;
	bool ok = true;

	while (ok && !text_accept(t, "}")) {
		ok = text_get_number(t, &offset);
		if (!ok)
			break;
		put_number(&pieces, offset, 4);
		ok = get_piece(t, &pieces);
		count++;
	}
	if (ok) {
		put_number(body, count, 4);
		buf_append(body, buf_data(&pieces), buf_size(&pieces));
	}
	buf_fini(&pieces);
	return ok;
}

static bool
get_mode(struct text *t, struct buf *body)
{
	uint64_t mode;

	if (text_accept(t, "exclusive"))
		mode = PROTOCOL_EXCLUSIVE;
	else if (text_accept(t, "shared"))
		mode = PROTOCOL_SHARED;
	else if (text_accept(t, "upgrade"))
		mode = PROTOCOL_UPGRADE;
	else if (!text_accept(t, "mode="))
		return true;
	else if (!text_get_number(t, &mode))
		return false;
	put_number(body, mode, 1);
	return true;
}

static bool
get_acquire(struct text *t, struct buf *body)
{
	uint64_t timeout = PROTOCOL_TIMEOUT_NEVER, since = 0;

	if (!get_optional(t, body, 4) || !get_mode(t, body))
		return false;
	if (buf_size(body) < 5)
		return true;
	if (text_accept(t, "timeout=") && !text_accept(t, "never")) {
		if (text_accept(t, "try"))
			timeout = PROTOCOL_TIMEOUT_TRY;
		else if (!text_get_number(t, &timeout))
			return false;
	}
	if (text_accept(t, "since=") && !text_get_number(t, &since))
		return false;
	put_number(body, timeout, 4);
	put_number(body, since, 8);
	return true;
}

/* The flags of an operation by their names; the last one has none. */
struct flag {
	const char *name;
	uint64_t value;
};

static const struct flag release_flags[] = {
	{ "one-way", PROTOCOL_RELEASE_ONE_WAY },
	{ "unverified", PROTOCOL_RELEASE_UNVERIFIED },
	{ "keep", PROTOCOL_RELEASE_KEEP },
	{ NULL, 0 },
};

static const struct flag open_flags[] = {
	{ "create", PROTOCOL_OPEN_CREATE },
	{ "exclusive", PROTOCOL_OPEN_EXCLUSIVE },
	{ NULL, 0 },
};

static bool
get_flags(struct text *t, const struct flag *known, uint64_t *flags)
{
	const struct flag *f;

	*flags = 0;
	if (text_has_number(t))
		return text_get_number(t, flags);
	do {
		for (f = known; f->name != NULL && !text_accept(t, f->name); f++)
			;
		if (f->name == NULL)
			return text_fail(t, "no such flag: '%s'", t->next);
		*flags |= f->value;
	} while (text_accept(t, "+"));
	return true;
}

static bool
get_open2(struct text *t, struct buf *body)
{
	uint64_t flags;

	if (!text_accept(t, "flags="))
		return true;
	if (!get_flags(t, open_flags, &flags))
		return false;
	put_number(body, flags, 4);
	return get_counted_bytes(t, body);
}

static bool
get_stat(struct text *t, struct buf *body)
{
	uint64_t what;

	if (!get_optional(t, body, 4))
		return false;
	if (!text_accept(t, "what="))
		return true;
	if (!text_get_number(t, &what))
		return false;
	put_number(body, what, 4);
	return true;
}

static bool
get_release(struct text *t, struct buf *body)
{
	uint64_t flags = 0;

	if (!get_optional(t, body, 4) || !get_optional(t, body, 8))
		return false;
	if (buf_size(body) < 12)
		return true;
	if (text_accept(t, "flags=") && !get_flags(t, release_flags, &flags))
		return false;
	put_number(body, flags, 1);
	return !text_accept(t, "delta{") || get_delta(t, body);
}

static bool
get_hello(struct text *t, struct buf *body)
{
	uint64_t features = 0;

	if (!text_has_number(t))
		return true;
	if (!get_optional(t, body, 4))
		return false;
	if (text_accept(t, "features=") && !text_get_number(t, &features))
		return false;
	put_number(body, features, 4);
	return true;
}

static bool
get_lock(struct text *t, struct buf *body)
{
	uint64_t turn;

	if (!get_optional(t, body, 4))
		return false;
	if (text_accept(t, "turn=")) {
		if (!text_get_number(t, &turn))
			return false;
		put_number(body, turn, 4);
	}
	return get_optional(t, body, 1);
}

static bool
get_body(struct text *t, uint32_t op, struct buf *body)
{
	switch (op) {
	case OP_CHILD_ATTACH:
		return get_optional(t, body, 8);
	case OP_OPEN:
		return get_counted_bytes(t, body);
	case OP_OPEN2:
		return get_open2(t, body);
	case OP_STAT:
		return get_stat(t, body);
	case OP_CLOSE:
	case OP_CANCEL:
	case OP_PROCESS:
		return get_optional(t, body, 4);
	case OP_INSPECT:
		return get_optional(t, body, 1) && get_optional(t, body, 8);
	case OP_LOCK:
		return get_lock(t, body);
	case OP_UNLOCK:
		return get_optional(t, body, 4) && get_optional(t, body, 1) &&
		    get_counted_bytes(t, body) && get_counted_bytes(t, body) &&
		    get_counted_bytes(t, body);
	case OP_MMAP:
		return get_optional(t, body, 4) && get_optional(t, body, 4);
	case OP_HELLO:
		return get_hello(t, body);
	case OP_ACQUIRE:
		return get_acquire(t, body);
	case OP_RELEASE:
		return get_release(t, body);
	default:
		return true;
	}
}

/* Applies the additions to a body and the cut from its end. */
static bool
get_additions(struct text *t, struct buf *body)
{
	uint64_t value;
	size_t size;

	while (!text_is_at_end(t)) {
		if (text_accept(t, "bytes=")) {
			if (!text_get_bytes(t, body))
				return false;
			continue;
		}
		if (text_accept(t, "cut=")) {
			if (!text_get_number(t, &value))
				return false;
			if (value > buf_size(body))
				return text_fail(t, "the body has only %zu bytes", buf_size(body));
			body->tail -= value;
			continue;
		}
		if (text_accept(t, "u8="))
			size = 1;
		else if (text_accept(t, "u32="))
			size = 4;
		else if (text_accept(t, "u64="))
			size = 8;
		else
			return text_fail(t, "not part of a request: '%s'", t->next);
		if (!text_get_number(t, &value))
			return false;
		put_number(body, value, size);
	}
	return true;
}

static bool
get_operation(struct text *t, uint32_t *op)
{
	char name[TEXT_WORD_SIZE];
	uint64_t number;

	if (text_has_number(t)) {
		if (!text_get_number(t, &number))
			return false;
		*op = (uint32_t)number;
		return true;
	}
	if (!text_get_word(t, name))
		return false;
	for (*op = 0; *op < OP_COUNT; (*op)++)
		if (strcmp(protocol_op_name(*op), name) == 0)
			return true;
	return text_fail(t, "no such operation: %s", name);
}

static bool
get_tag(struct text *t, uint16_t *out)
{
	uint64_t tag;

	*out = 0;
	if (!text_accept(t, "["))
		return true;
	if (!text_get_number(t, &tag) || !text_expect(t, "]"))
		return false;
	*out = (uint16_t)tag;
	return true;
}

static void
put_header(struct buf *out, const struct request *q, uint64_t body_size)
{
	/* An operation that needs the upper half, too, is sent as it is. */
	uint32_t code = q->op > 0xffff ? q->op : frame_tagged(q->tag, q->op);

	put_number(out, code, 4);
	put_number(out, body_size, 4);
}

/* Appends bytes as they are; if they begin with a whole header, q describes it. */
static bool
get_raw(struct text *t, struct buf *out, struct request *q)
{
	size_t before = buf_size(out);
	struct frame f;

	if (!text_get_hex(t, out))
		return false;
	q->is_frame = buf_size(out) - before >= FRAME_HEADER_SIZE;
	if (q->is_frame) {
		f = frame_get(buf_data(out) + before);
		q->tag = frame_tag(f.code);
		q->op = frame_untagged(f.code);
		q->is_whole = buf_size(out) - before == FRAME_HEADER_SIZE + (size_t)f.body_size;
	}
	return true;
}

bool
request_build(struct text *t, struct buf *out, struct request *q)
{
	struct buf body = { 0 };
	uint64_t size;
	bool ok;

	*q = (struct request){ 0 };
	if (text_accept(t, "raw "))
		return get_raw(t, out, q);
	if (text_accept(t, "bytes "))
		return text_get_bytes(t, out);
	if (!get_tag(t, &q->tag))
		return false;
	q->is_frame = true;
	if (text_accept(t, "header ")) {
		if (!get_operation(t, &q->op) || !text_get_number(t, &size))
			return false;
		put_header(out, q, size);
		return true;
	}
	ok = get_operation(t, &q->op) && get_body(t, q->op, &body) && get_additions(t, &body);
	if (ok) {
		put_header(out, q, buf_size(&body));
		buf_append(out, buf_data(&body), buf_size(&body));
		q->is_whole = true;
		q->what = q->op == OP_INSPECT && buf_size(&body) > 0 ? buf_data(&body)[0] : 0;
	}
	buf_fini(&body);
	return ok;
}
