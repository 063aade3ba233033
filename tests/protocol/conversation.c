#include "tests/protocol/conversation.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "tests/protocol/reply.h"
#include "tests/protocol/request.h"

enum { BODY_MOST = 1 << 30, SETTLE_TAG = 0xfffe };

/* Sets the reason, unless there is one. Returns false. */
static bool fail(struct conversation *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool
fail(struct conversation *c, const char *format, ...)
{
	va_list args;

	if (c->reason[0] != '\0')
		return false;
	va_start(args, format);
	vsnprintf(c->reason, sizeof c->reason, format, args);
	va_end(args);
	return false;
}

bool
conversation_open(struct conversation *c)
{
	int error;

	if (c->is_open)
		return true;
	error = c->peer->open(c->who);
	if (error != 0)
		return fail(c, "%s cannot connect: %s", c->name, strerror(-error));
	c->is_open = true;
	c->is_tagged = c->is_deaf = c->is_paused = c->is_midway = c->is_unsettled = false;
	return true;
}

void
conversation_close(struct conversation *c)
{
	if (c->is_open)
		c->peer->close(c->who);
	c->is_open = false;
	buf_fini(&c->asked);
}

bool
conversation_is_refused(struct conversation *c)
{
	bool ok;

	if (c->is_open)
		return fail(c, "%s is connected already", c->name);
	if (c->peer->open(c->who) != 0)
		return true;
	ok = c->peer->wait(c->who, 1, PEER_NOW) == -ECONNRESET;
	c->peer->close(c->who);
	return ok || fail(c, "expected: %s is turned away\n\tgot:      it is connected", c->name);
}

/* Records a request, so that its reply can be parsed. */
static void
note(struct conversation *c, const struct request *q)
{
	uint8_t op = q->op < UINT8_MAX ? (uint8_t)q->op : UINT8_MAX;

	c->is_unsettled = true;
	c->is_midway = !q->is_whole;
	if (!q->is_frame)
		return;
	buf_append(&c->asked, &op, 1);
	c->tagged_op[q->tag] = op;
	if (op == OP_INSPECT)
		c->inspected = q->what;
	c->last_tag = q->tag;
}

bool
conversation_request(struct conversation *c, struct text *t, bool *has_forked)
{
	struct buf bytes = { 0 };
	struct request q;
	bool ok;

	ok = request_build(t, &bytes, &q) &&
	    (text_is_at_end(t) || text_fail(t, "too much: '%s'", t->next));
	if (ok) {
		note(c, &q);
		*has_forked = *has_forked || (q.is_frame && q.op == OP_FORK);
		c->peer->send(c->who, buf_data(&bytes), buf_size(&bytes));
	} else {
		fail(c, "%s", t->error);
	}
	buf_fini(&bytes);
	return ok;
}

/* Parses the frame at offset at of the input, whose header is complete, by its request. */
static struct reply
reply_at(const struct conversation *c, const struct buf *in, size_t at)
{
	struct frame f = frame_get(buf_data(in) + at);
	struct reply reply = { .status = f.code,
		.op = UINT8_MAX,
		.is_smuf = c->peer->is_smuf,
		.what = c->inspected,
		.size = f.body_size };

	if (c->is_tagged) {
		reply.tag = frame_tag(f.code);
		reply.status = frame_untagged(f.code);
		reply.op = c->tagged_op[reply.tag];
	} else if (buf_size(&c->asked) > 0) {
		reply.op = buf_data(&c->asked)[0];
	}
	if (buf_size(in) >= at + FRAME_HEADER_SIZE + reply.size)
		reply.body = buf_data(in) + at + FRAME_HEADER_SIZE;
	return reply;
}

/* Removes a reply from the head of the input, and its request. */
static void
consume(struct conversation *c, struct buf *in, const struct reply *reply)
{
	uint32_t version = reply_hello_version(reply);

	if (!c->is_tagged && buf_size(&c->asked) > 0)
		buf_consume(&c->asked, 1);
	if (c->is_tagged ? reply->tag == c->last_tag : buf_size(&c->asked) == 0)
		c->is_unsettled = false;
	if (version >= PROTOCOL_VERSION_2)
		c->is_tagged = true;
	buf_consume(in, FRAME_HEADER_SIZE + reply->size);
}

/* Describes the input that came instead of the expected reply. */
static const char *
describe_input(struct conversation *c, char out[REPLY_TEXT_SIZE])
{
	struct buf *in = c->peer->input(c->who);
	struct reply reply;

	if (c->peer->wait(c->who, 1, PEER_BRIEFLY) == -ECONNRESET && buf_size(in) == 0)
		return "the end of the connection";
	if (buf_size(in) == 0)
		return "nothing";
	if (buf_size(in) < FRAME_HEADER_SIZE)
		return "half a header";
	reply = reply_at(c, in, 0);
	if (reply.body == NULL)
		return "half a body";
	return reply_describe(&reply, out);
}

static bool
fail_expected(struct conversation *c, const char *expected, const char *difference)
{
	char got[REPLY_TEXT_SIZE];
	const char *came = c->is_open ? describe_input(c, got) : "it is not connected";

	if (difference[0] != '\0')
		return fail(c, "expected: %s< %s\n\tgot:      %s (%s)", c->name, expected, came,
		    difference);
	return fail(c, "expected: %s< %s\n\tgot:      %s", c->name, expected, came);
}

/* Waits for a whole frame at offset at of the input. */
static bool
wait_for_frame(struct conversation *c, size_t at, enum peer_patience patience, struct reply *out)
{
	struct buf *in = c->peer->input(c->who);

	if (c->peer->wait(c->who, at + FRAME_HEADER_SIZE, patience) != 0)
		return false;
	*out = reply_at(c, in, at);
	if (out->size >= BODY_MOST ||
	    c->peer->wait(c->who, at + FRAME_HEADER_SIZE + out->size, patience) != 0)
		return false;
	*out = reply_at(c, in, at);
	return true;
}

/*
 * Moves the frame with that tag to the head of the input. Only in version 2, where replies name
 * their request.
 */
static bool
bring_forward(struct conversation *c, uint16_t tag)
{
	struct buf *in = c->peer->input(c->who), frame = { 0 };
	struct reply reply;
	size_t at, size;

	for (at = 0;; at += size) {
		if (!wait_for_frame(c, at, PEER_NOW, &reply))
			return false;
		size = FRAME_HEADER_SIZE + reply.size;
		if (reply.tag == tag)
			break;
	}
	buf_append(&frame, buf_data(in) + at, size);
	memmove(in->base + in->head + size, in->base + in->head, at);
	memcpy(in->base + in->head, buf_data(&frame), size);
	buf_fini(&frame);
	return true;
}

/* Version 2: sends a request without effect, and removes its reply from the input. */
static void
settle_by_asking(struct conversation *c)
{
	struct text t = { .next = "[0xfffe] CANCEL 0xffff" };
	struct reply reply;
	bool has_forked = false;

	conversation_request(c, &t, &has_forked);
	if (!bring_forward(c, SETTLE_TAG))
		return;
	reply = reply_at(c, c->peer->input(c->who), 0);
	consume(c, c->peer->input(c->who), &reply);
}

/*
 * Version 1: the server answers everything in order. Waits for as many replies as there were
 * requests.
 */
static void
settle_by_counting(struct conversation *c)
{
	size_t at = 0, count = buf_size(&c->asked);
	struct reply reply;

	for (; count > 0 && wait_for_frame(c, at, PEER_NOW, &reply); count--)
		at += FRAME_HEADER_SIZE + reply.size;
}

void
conversation_settle(struct conversation *c)
{
	if (!c->is_open || !c->is_unsettled || c->is_deaf || c->is_paused || c->is_midway ||
	    c->peer->is_core)
		return;
	if (c->is_tagged)
		settle_by_asking(c);
	else
		settle_by_counting(c);
	c->is_unsettled = false;
}

/* Checks for these bytes; when they are a frame, for exactly that frame. */
static bool
expect_raw(struct conversation *c, struct text *t, const char *expected)
{
	struct buf bytes = { 0 }, *in = c->peer->input(c->who);
	struct reply reply;
	bool ok;

	ok = text_get_hex(t, &bytes) || fail(c, "%s", t->error);
	ok = ok && c->peer->wait(c->who, buf_size(&bytes), PEER_NOW) == 0 &&
	    memcmp(buf_data(in), buf_data(&bytes), buf_size(&bytes)) == 0;
	if (ok) {
		reply = reply_at(c, in, 0);
		ok = FRAME_HEADER_SIZE + reply.size == buf_size(&bytes) ||
		    fail(c, "not one whole frame");
	}
	if (ok)
		consume(c, in, &reply);
	else
		fail_expected(c, expected, "");
	buf_fini(&bytes);
	return ok;
}

static bool
expect_nothing(struct conversation *c, const char *expected)
{
	conversation_settle(c);
	return c->peer->wait(c->who, 1, c->is_midway ? PEER_BRIEFLY : PEER_INSTANTLY) == -EAGAIN ||
	    fail_expected(c, expected, "");
}

static bool
expect_end(struct conversation *c, const char *expected)
{
	if (c->peer->wait(c->who, 1, PEER_NOW) != -ECONNRESET)
		return fail_expected(c, expected, "");
	conversation_close(c);
	return true;
}

/* `among [7] ...`, from behind the first word. */
static bool
find_among(struct conversation *c, const struct text *t, const char *expected)
{
	struct text ahead = *t;
	uint64_t tag;

	if (!text_expect(&ahead, "[") || !text_get_number(&ahead, &tag))
		return fail(c, "%s", ahead.error);
	return (c->is_tagged && bring_forward(c, (uint16_t)tag)) ||
	    fail_expected(c, expected, "it is not among what has come");
}

bool
conversation_reply(struct conversation *c, struct text *t)
{
	enum peer_patience patience = PEER_NOW;
	const char *expected;
	struct reply reply;

	text_is_at_end(t);
	expected = t->next;
	if (!c->is_open)
		return fail_expected(c, expected, "");
	if (text_accept(t, "raw "))
		return expect_raw(c, t, expected);
	if (text_accept(t, "nothing"))
		return expect_nothing(c, expected);
	if (text_accept(t, "end"))
		return expect_end(c, expected);
	if (text_accept(t, "soon "))
		patience = PEER_SOON;
	else if (text_accept(t, "among ") && !find_among(c, t, expected))
		return false;
	if (!wait_for_frame(c, 0, patience, &reply))
		return fail_expected(c, expected, "");
	if (!reply_check(t, &reply))
		return fail_expected(c, expected, t->error);
	consume(c, c->peer->input(c->who), &reply);
	return true;
}

bool
conversation_is_clean(struct conversation *c)
{
	char got[REPLY_TEXT_SIZE];

	if (!c->is_open || c->is_deaf || buf_size(c->peer->input(c->who)) == 0)
		return true;
	return fail(c, "expected: %s< nothing, at the end of the test\n\tgot:      %s", c->name,
	    describe_input(c, got));
}
