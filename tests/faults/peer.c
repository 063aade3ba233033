#include "tests/faults/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/wire/frame.h"
#include "common/wire/status.h"
#include "tests/faults/verdict.h"

enum { CHUNK = 64 * 1024 };

void
peer_init(struct peer *p, int number)
{
	unsigned i;

	*p = (struct peer){ .fd = -1, .number = number, .version = PROTOCOL_VERSION_1 };
	for (i = 0; i < PEER_DESCS; i++)
		p->descs[i].file = -1;
}

void
peer_begin(struct peer *p, int fd)
{
	p->fd = fd;
}

void
peer_forget_desc(struct peer_desc *d)
{
	free(d->replica);
	*d = (struct peer_desc){ .file = -1 };
}

void
peer_forget_table(struct peer *p)
{
	unsigned i;

	for (i = 0; i < PEER_DESCS; i++)
		peer_forget_desc(&p->descs[i]);
}

void
peer_close(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	buf_fini(&p->out);
	buf_fini(&p->in);
	peer_forget_table(p);
	peer_init(p, p->number);
}

bool
peer_can_ask(const struct peer *p)
{
	return p->fd >= 0 && !p->is_wild && !p->is_shut && p->count < PEER_REQUESTS &&
	    buf_size(&p->out) < CHUNK;
}

static void
queue(struct peer *p, const void *data, size_t size)
{
	if (buf_append(&p->out, data, size) != 0)
		abort();
}

void
peer_ask(struct peer *p, struct peer_request *q, const void *body, size_t size)
{
	struct frame f = { q->op, (uint32_t)size };
	uint8_t header[FRAME_HEADER_SIZE];

	if (p->version == PROTOCOL_VERSION_2)
		q->tag = ++p->last_tag == 0 ? ++p->last_tag : p->last_tag;
	if (q->op == OP_HELLO && !p->has_begun && q->size >= PROTOCOL_VERSION_2)
		p->version = PROTOCOL_VERSION_2;
	p->has_begun = true;
	f.code = q->tag != 0 ? frame_tagged(q->tag, q->op) : q->op;
	frame_put(header, f);
	queue(p, header, sizeof header);
	queue(p, body, size);
	p->requests[p->count++] = *q;
}

void
peer_garble(struct peer *p, const void *data, size_t size)
{
	p->is_wild = true;
	p->is_halting = false;
	p->count = 0;
	queue(p, data, size);
}

void
peer_flush(struct peer *p)
{
	size_t size = buf_size(&p->out), kept = p->is_halting ? p->halt : 0;
	ssize_t n = 1;

	while (p->fd >= 0 && size > kept && n > 0) {
		n = send(p->fd, buf_data(&p->out), size - kept, MSG_NOSIGNAL);
		if (n > 0)
			buf_consume(&p->out, (size_t)n);
		size = buf_size(&p->out);
	}
	/* Nobody takes the rest. */
	if (n < 0 && errno != EAGAIN)
		buf_consume(&p->out, size);
}

bool
peer_receive(struct peer *p)
{
	static uint8_t chunk[CHUNK];
	ssize_t n;

	while ((n = recv(p->fd, chunk, sizeof chunk, 0)) > 0)
		if (buf_append(&p->in, chunk, (size_t)n) != 0)
			abort();
	return n < 0 && errno == EAGAIN;
}

static bool
may_wait(const struct peer *p, const struct peer_request *q)
{
	return q->op == OP_ACQUIRE && p->version == PROTOCOL_VERSION_2;
}

/* The index of the request that the reply answers, or p->count. */
static unsigned
find_request(const struct peer *p, uint16_t tag)
{
	unsigned i = 0;

	while (i < p->count && p->requests[i].tag != tag)
		i++;
	return i;
}

static void
remove_request(struct peer *p, unsigned i)
{
	p->count--;
	memmove(&p->requests[i], &p->requests[i + 1], (p->count - i) * sizeof p->requests[0]);
}

/* Takes request i, and confirms the one-way RELEASEs before it. */
static void
take_request(struct peer *p, unsigned i, struct peer_request *q,
    void (*accepted)(void *context, const struct peer_request *q), void *context, struct verdict *v)
{
	unsigned j = 0;

	*q = p->requests[i];
	remove_request(p, i);
	while (j < i) {
		if (p->requests[j].is_one_way) {
			accepted(context, &p->requests[j]);
			remove_request(p, j);
			i--;
			continue;
		}
		if (!may_wait(p, &p->requests[j]))
			verdict_say(v, "peer %d: the reply to %s came before that to %s", p->number,
			    protocol_op_name(q->op), protocol_op_name(p->requests[j].op));
		j++;
	}
}

bool
peer_next_reply(struct peer *p, struct peer_request *q, uint32_t *status, struct wire_reader *body,
    void (*accepted)(void *context, const struct peer_request *q), void *context, struct verdict *v)
{
	struct frame f;
	uint16_t tag;
	unsigned i;

	if (p->is_wild || buf_size(&p->in) < FRAME_HEADER_SIZE)
		return false;
	f = frame_get(buf_data(&p->in));
	if (buf_size(&p->in) - FRAME_HEADER_SIZE < f.body_size)
		return false;
	*body = wire_reader(buf_data(&p->in) + FRAME_HEADER_SIZE, f.body_size);
	buf_consume(&p->in, FRAME_HEADER_SIZE + f.body_size);
	tag = frame_tag(f.code);
	*status = frame_untagged(f.code);
	i = find_request(p, tag);
	if (i == p->count)
		verdict_say(v, "peer %d: a reply with tag %u, which no request has", p->number,
		    tag);
	else if (strcmp(status_name(*status), "?") == 0)
		verdict_say(v, "peer %d: a reply with the unknown status %u", p->number, *status);
	else if (*status != 0 && f.body_size != 0)
		verdict_say(v, "peer %d: a refusal with a body of %u bytes", p->number,
		    f.body_size);
	if (v->is_bad)
		return false;
	take_request(p, i, q, accepted, context, v);
	return !v->is_bad;
}

bool
peer_is_owed(const struct peer *p)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (!may_wait(p, &p->requests[i]) && !p->requests[i].is_one_way)
			return true;
	return false;
}
