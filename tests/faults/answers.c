#include "tests/faults/answers.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/wire/delta.h"
#include "common/wire/status.h"
#include "smuf/layout.h"
#include "smuf/sealdelta.h"
#include "tests/faults/world.h"

enum { SMUF_BLOCK_BYTES = 8 + 1 + SEALBOX_TAG_SIZE };

/* The descriptor of the request, or NULL for a number that peers do not use. */
static struct peer_desc *
desc_of(struct peer *p, const struct peer_request *q)
{
	return q->fd < PEER_DESCS ? &p->descs[q->fd] : NULL;
}

static void
complain(struct world *w, const struct peer *p, const struct peer_request *q, const char *what)
{
	verdict_say(&w->v, "peer %d, the reply to %s: %s", p->number, protocol_op_name(q->op),
	    what);
}

/* Makes the replica of a descriptor, all zeros. */
static void
clear_replica(struct peer_desc *d)
{
	free(d->replica);
	d->replica = calloc(1, MODEL_BYTES);
	if (d->replica == NULL)
		abort();
	d->version = 0;
}

/* Applies the delta of a grant of smdish. False when it is malformed. */
static bool
apply_bytes(uint8_t *replica, struct wire_reader *r)
{
	struct delta_piece piece;
	struct delta delta;
	int more;

	delta_begin(&delta, r, MODEL_BYTES);
	while ((more = delta_next(&delta, &piece)) > 0)
		memcpy(replica + piece.offset, piece.bytes, piece.length);
	return more == 0 && wire_is_done(r);
}

/* The same for smuf: a block's version, slot and tag. */
static bool
apply_blocks(uint8_t *replica, struct wire_reader *r, uint64_t version)
{
	uint32_t count, i, next = 0;

	wire_get_bytes(r, SEALBOX_KEY_SIZE);
	count = wire_get_u32(r);
	for (i = 0; i < count; i++) {
		uint32_t block = wire_get_u32(r);
		const uint8_t *bytes = wire_get_bytes(r, SMUF_BLOCK_BYTES);
		struct wire_reader at = wire_reader(bytes, bytes == NULL ? 0 : 8);
		uint64_t sealed = wire_get_u64(&at);

		if (bytes == NULL || block < next || block >= size_block_count(MODEL_BYTES) ||
		    sealed == 0 || sealed > version)
			return false;
		memcpy(replica + block * SMUF_BLOCK_BYTES, bytes, SMUF_BLOCK_BYTES);
		next = block + 1;
	}
	return wire_is_done(r);
}

/* Notes that p holds the lock now, and checks what it sees of the file. */
static void
hold(struct world *w, struct peer *p, const struct peer_request *q, struct model_holding h)
{
	struct peer_desc *d = &p->descs[q->fd];
	struct model_file *f = &w->model.files[d->file];

	h.peer = p->number;
	h.fd = q->fd;
	h.file = d->file;
	if (h.grant != 0 && h.mode == PROTOCOL_EXCLUSIVE && h.grant <= f->last_grant &&
	    d->file < MODEL_ANCHORED)
		complain(w, p, q, "the number of the grant was used before");
	if (h.grant > f->last_grant)
		f->last_grant = h.grant;
	model_hold(&w->model, &h);
	if (h.has_delta && !model_check(&w->model, d->file, d->replica))
		complain(w, p, q, "the content is not what was published");
}

static void
take_grant(struct world *w, struct peer *p, const struct peer_request *q, struct wire_reader body)
{
	struct model_holding h = { .mode = q->mode }, *old;
	struct peer_desc *d = desc_of(p, q);
	uint64_t version;
	bool is_whole = true;

	h.grant = wire_get_u64(&body);
	version = wire_get_u64(&body);
	h.has_delta = body.left > 0;
	if (d == NULL || body.failed || h.grant == 0 || version < q->since) {
		complain(w, p, q, "a grant that is malformed");
		return;
	}
	if (d->file < 0) {
		complain(w, p, q, "a grant for a descriptor that is not open");
		return;
	}
	if (q->since == 0 || d->replica == NULL)
		clear_replica(d);
	if (h.has_delta)
		is_whole = w->subject->is_smuf ? apply_blocks(d->replica, &body, version) :
						 apply_bytes(d->replica, &body);
	d->version = version;
	if (q->mode == PROTOCOL_UPGRADE) {
		h.mode = q->is_taken_back ? PROTOCOL_SHARED : PROTOCOL_EXCLUSIVE;
		old = model_find_fd(&w->model, p->number, q->fd);
		if (old != NULL)
			model_drop(&w->model, old);
	}
	if (!is_whole)
		complain(w, p, q, "a delta that is malformed");
	else if (!q->may_have_ended)
		hold(w, p, q, h);
}

/* The seal in a LOCK's reply of smuf. */
static bool
apply_seal(uint8_t *replica, struct wire_reader *r)
{
	static const uint32_t sizes[] = { SEALBOX_NONCE_SIZE, SEALBOX_KEY_SIZE, SEALBOX_TAG_SIZE };
	const uint8_t *bytes;
	unsigned i;

	for (i = 0; i < 3; replica += sizes[i++]) {
		if (wire_get_u32(r) != sizes[i])
			return false;
		bytes = wire_get_bytes(r, sizes[i]);
		if (bytes == NULL)
			return false;
		memcpy(replica, bytes, sizes[i]);
	}
	return wire_is_done(r);
}

static bool
apply_segment(uint8_t *replica, struct wire_reader *r)
{
	uint32_t size = wire_get_u32(r);
	const uint8_t *bytes = wire_get_bytes(r, size);

	if (bytes == NULL || size > MODEL_BYTES)
		return false;
	memcpy(replica, bytes, size);
	return wire_is_done(r);
}

static void
take_lock(struct world *w, struct peer *p, const struct peer_request *q, struct wire_reader body)
{
	struct model_holding h = { .mode = PROTOCOL_EXCLUSIVE }, *old;
	struct peer_desc *d = desc_of(p, q);
	uint8_t type = wire_get_u8(&body);
	bool is_whole = !body.failed && type <= PROTOCOL_TYPE_UNPUBLISHED;

	if (d == NULL || d->file < 0) {
		complain(w, p, q, "a lock of a descriptor that is not open");
		return;
	}
	clear_replica(d);
	h.has_delta = type != PROTOCOL_TYPE_PURE;
	if (type == PROTOCOL_TYPE_SEGMENT)
		is_whole = w->subject->is_smuf ? apply_seal(d->replica, &body) :
						 apply_segment(d->replica, &body);
	if (!is_whole || body.left > 0) {
		complain(w, p, q, "malformed");
		return;
	}
	old = model_find_file(&w->model, p->number, d->file);
	if (q->may_have_ended || old != NULL)
		return;
	hold(w, p, q, h);
}

/* The RELEASE of an exclusive grant has left it shared. */
static void
keep(struct world *w, struct peer *p, const struct peer_request *q)
{
	struct model_holding h = { .peer = p->number,
		.fd = q->fd,
		.file = q->fd < PEER_DESCS ? p->descs[q->fd].file : -1,
		.mode = PROTOCOL_SHARED,
		.grant = q->kept,
		.has_delta = q->has_delta };

	if (!q->may_have_ended && h.file >= 0)
		model_hold(&w->model, &h);
}

/* RELEASE and UNLOCK. */
static void
take_release(struct world *w, struct peer *p, const struct peer_request *q, uint32_t status)
{
	int file = q->patch_file;

	if (q->is_one_way && status == 0)
		complain(w, p, q, "a one-way request that succeeds has none");
	if (!model_settle(&w->model, file, q->patch, status == 0))
		complain(w, p, q, "a delta was accepted that breaks the rules");
	if (q->kept != 0 && status == 0)
		keep(w, p, q);
	/* A client of version 1 moves the turn on in the host's file. */
	if (q->op == OP_UNLOCK && status == 0 && w->subject->is_smuf && q->patch != 0)
		world_host_word(w, file, LAYOUT_TURN_AT, 1);
}

void
answers_accepted(void *context, const struct peer_request *q)
{
	struct world *w = context;

	if (!model_settle(&w->model, q->patch_file, q->patch, true))
		verdict_say(&w->v, "a one-way RELEASE was accepted that breaks the rules");
}

static void
take_open(struct world *w, struct peer *p, const struct peer_request *q, struct wire_reader body)
{
	uint32_t fd = wire_get_u32(&body), lowest = 0;

	while (lowest < PEER_DESCS && p->descs[lowest].file >= 0)
		lowest++;
	if (!wire_is_done(&body) || (lowest < PEER_DESCS && fd != lowest))
		complain(w, p, q, "it is not the lowest descriptor that is free");
	else if (q->file < 0)
		complain(w, p, q, "a name was accepted that is not allowed");
	else if (fd < PEER_DESCS)
		p->descs[fd].file = q->file;
}

static void
take_fork(struct world *w, struct peer *p, struct wire_reader body)
{
	struct world_fork *f;
	unsigned i;

	if (w->fork_count == WORLD_FORKS) {
		w->has_unknown_forks = true;
		return;
	}
	f = &w->forks[w->fork_count++];
	*f = (struct world_fork){ .ident = wire_get_u64(&body), .version = p->version };
	for (i = 0; i < PEER_DESCS; i++)
		f->files[i] = p->descs[i].file;
}

static void
take_attach(struct world *w, struct peer *p, const struct peer_request *q)
{
	struct world_fork *f = q->fork < 0 ? NULL : &w->forks[q->fork];
	unsigned i;

	if (f == NULL || f->is_used) {
		complain(w, p, q, "an ident was accepted that is unknown or used");
		return;
	}
	f->is_used = true;
	peer_forget_table(p);
	for (i = 0; i < PEER_DESCS; i++)
		p->descs[i].file = f->files[i];
}

static void
take_success(struct world *w, struct peer *p, const struct peer_request *q, struct wire_reader body)
{
	struct peer_desc *d = desc_of(p, q);

	switch (q->op) {
	case OP_NEW_FDTABLE:
		peer_forget_table(p);
		break;
	case OP_FORK:
		take_fork(w, p, body);
		break;
	case OP_CHILD_ATTACH:
		take_attach(w, p, q);
		break;
	case OP_OPEN:
		take_open(w, p, q, body);
		break;
	case OP_CLOSE:
		if (d != NULL)
			peer_forget_desc(d);
		break;
	case OP_LOCK:
		take_lock(w, p, q, body);
		break;
	case OP_MMAP:
		if (d != NULL && d->file >= 0)
			w->model.files[d->file].size = q->size;
		break;
	case OP_ACQUIRE:
		take_grant(w, p, q, body);
		break;
	case OP_STAT:
		protocol_get_stat(&body, &w->stat);
		break;
	}
}

void
answers_take(struct world *w, struct peer *p, const struct peer_request *q, uint32_t status,
    struct wire_reader body)
{
	if (q->watch != 0 && q->watch == w->last_watch)
		w->watched = status;
	/* Its requests are of version 2, the session is not. */
	if (q->op == OP_HELLO && status != 0 && p->version == PROTOCOL_VERSION_2 && q->tag == 0)
		p->is_wild = true;
	if (q->is_odd && status == 0)
		complain(w, p, q, "a body was accepted that does not fit");
	if (q->op == OP_RELEASE || q->op == OP_UNLOCK)
		take_release(w, p, q, status);
	else if (status == 0)
		take_success(w, p, q, body);
}
