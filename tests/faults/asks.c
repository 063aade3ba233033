#include "tests/faults/asks.h"

#include <string.h>

#include "common/base/size.h"
#include "common/wire/wire.h"
#include "smuf/layout.h"
#include "smuf/sealdelta.h"
#include "tests/faults/world.h"

enum {
	BODY_MOST = MODEL_BYTES + 4096,
	SMALL_PIECE = 100, /* bytes of a piece, at most */
	SMUF_BLOCK_BYTES = 8 + 1 + SEALBOX_TAG_SIZE,
	ODD_SIZE = 3
};

static uint8_t body[BODY_MOST];

static struct wire_writer
begin_body(void)
{
	return wire_writer(body, sizeof body);
}

static void
ask(struct world *w, struct peer *p, struct peer_request q, const struct wire_writer *writer)
{
	if (!peer_can_ask(p))
		return;
	q.watch = ++w->last_watch;
	w->watched = WORLD_NO_STATUS;
	peer_ask(p, &q, body, sizeof body - writer->left);
}

/* A request of one u32. */
static void
ask_u32(struct world *w, struct peer *p, struct peer_request q, uint32_t value)
{
	struct wire_writer b = begin_body();

	wire_put_u32(&b, value);
	ask(w, p, q, &b);
}

static void
ask_empty(struct world *w, struct peer *p, uint32_t op)
{
	struct wire_writer b = begin_body();

	ask(w, p, (struct peer_request){ .op = op }, &b);
}

/* What a request may end. */

/* Every grant of the peer may be over, those that it has not heard of included. */
static void
end_all(struct world *w, struct peer *p)
{
	unsigned i;

	model_drop_all(&w->model, p->number);
	for (i = 0; i < p->count; i++)
		p->requests[i].may_have_ended = true;
}

/* The grant of the descriptor, or of its file in version 1, may be over. */
static void
end_fd(struct world *w, struct peer *p, uint32_t fd)
{
	struct model_holding *h = model_find_fd(&w->model, p->number, fd);
	unsigned i;

	if (p->version == PROTOCOL_VERSION_1) {
		end_all(w, p);
		return;
	}
	if (h != NULL)
		model_drop(&w->model, h);
	for (i = 0; i < p->count; i++)
		if (p->requests[i].fd == fd)
			p->requests[i].may_have_ended = true;
}

static int
file_of(const struct peer *p, uint32_t fd)
{
	return fd < PEER_DESCS ? p->descs[fd].file : -1;
}

/* Requests of both versions. */

void
asks_hello(struct world *w, struct peer *p, uint32_t version)
{
	struct wire_writer b = begin_body();

	wire_put_u32(&b, version);
	wire_put_u32(&b, 0);
	ask(w, p, (struct peer_request){ .op = OP_HELLO, .size = version }, &b);
}

void
asks_table(struct world *w, struct peer *p)
{
	if (peer_can_ask(p))
		end_all(w, p);
	ask_empty(w, p, OP_NEW_FDTABLE);
}

void
asks_fork(struct world *w, struct peer *p)
{
	ask_empty(w, p, OP_FORK);
}

void
asks_open(struct world *w, struct peer *p, int file)
{
	static const char *const wrong[] = { "", "/.smufserver.lock", "no slash" };
	const char *name = file < MODEL_FILES ? model_name(file) :
	    w->subject->is_smuf               ? wrong[file % 3] :
						"";
	struct wire_writer b = begin_body();

	wire_put_u32(&b, (uint32_t)strlen(name));
	wire_put_bytes(&b, name, strlen(name));
	ask(w, p, (struct peer_request){ .op = OP_OPEN, .file = file < MODEL_FILES ? file : -1 },
	    &b);
}

void
asks_close(struct world *w, struct peer *p, uint32_t fd)
{
	if (peer_can_ask(p))
		end_fd(w, p, fd);
	ask_u32(w, p, (struct peer_request){ .op = OP_CLOSE, .fd = fd }, fd);
}

void
asks_map(struct world *w, struct peer *p, uint32_t fd, uint32_t size)
{
	struct wire_writer b = begin_body();

	wire_put_u32(&b, fd);
	wire_put_u32(&b, size);
	ask(w, p, (struct peer_request){ .op = OP_MMAP, .fd = fd, .size = size }, &b);
}

void
asks_attach(struct world *w, struct peer *p, unsigned fork)
{
	bool is_known = fork < w->fork_count;
	struct wire_writer b = begin_body();

	if (peer_can_ask(p))
		end_all(w, p);
	wire_put_u64(&b, is_known ? w->forks[fork].ident : world_random(w));
	ask(w, p, (struct peer_request){ .op = OP_CHILD_ATTACH, .fork = is_known ? (int)fork : -1 },
	    &b);
}

/* Version 2. */

void
asks_acquire(struct world *w, struct peer *p, uint32_t fd, uint8_t mode, uint32_t timeout)
{
	struct peer_request q = { .op = OP_ACQUIRE, .fd = fd, .mode = mode };
	struct wire_writer b = begin_body();

	if (fd < PEER_DESCS && p->descs[fd].replica != NULL)
		q.since = p->descs[fd].version;
	wire_put_u32(&b, fd);
	wire_put_u8(&b, mode);
	wire_put_u32(&b, timeout);
	wire_put_u64(&b, q.since);
	ask(w, p, q, &b);
}

/* The oldest ACQUIRE of p that is unanswered, or NULL. */
static struct peer_request *
find_acquire(struct peer *p)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (p->requests[i].op == OP_ACQUIRE)
			return &p->requests[i];
	return NULL;
}

/* A grant that crosses the CANCEL has ended with it; that of an upgrade is shared. */
void
asks_cancel(struct world *w, struct peer *p)
{
	struct peer_request *q = find_acquire(p);

	if (q == NULL) {
		asks_ping(p);
		return;
	}
	if (!peer_can_ask(p))
		return;
	if (q->mode == PROTOCOL_UPGRADE)
		q->is_taken_back = true;
	else
		q->may_have_ended = true;
	ask_u32(w, p, (struct peer_request){ .op = OP_CANCEL }, q->tag);
}

void
asks_ping(struct peer *p)
{
	struct peer_request q = { .op = OP_CANCEL };
	struct wire_writer b = begin_body();

	wire_put_u32(&b, UINT32_MAX);
	if (peer_can_ask(p))
		peer_ask(p, &q, body, sizeof body - b.left);
}

void
asks_stat(struct world *w, struct peer *p, uint32_t fd)
{
	ask_u32(w, p, (struct peer_request){ .op = OP_STAT, .fd = fd }, fd);
}

/* Deltas. */

static void
fill(struct world *w, struct model_piece *piece)
{
	uint64_t word;
	unsigned i;

	for (i = 0; i < MODEL_PIECE_BYTES; i += sizeof word) {
		word = world_random(w);
		memcpy(piece->bytes + i, &word, sizeof word);
	}
}

/* Chooses what a release of smdish writes: ascending pieces inside the segment. */
static unsigned
choose_bytes(struct world *w, uint32_t size, enum asks_release kind,
    struct model_piece pieces[MODEL_PIECES])
{
	unsigned count = kind == RELEASE_SMALL || kind == RELEASE_ALL ? 1 : MODEL_PIECES, i;

	/* Each piece has a third of the segment for itself. */
	for (i = 0; i < count; i++) {
		uint32_t room = size / count, at = (uint32_t)(world_random(w) % room);

		pieces[i].offset = kind == RELEASE_ALL ? 0 : i * room + at;
		pieces[i].length = kind == RELEASE_ALL ? size : room - at;
		if (pieces[i].length > SMALL_PIECE && kind != RELEASE_ALL)
			pieces[i].length = SMALL_PIECE;
		fill(w, &pieces[i]);
	}
	return count;
}

/* The same for smuf: different blocks, each in the slot that is not current. */
static unsigned
choose_blocks(struct world *w, uint32_t size, enum asks_release kind, uint64_t grant,
    const uint8_t *replica, struct model_piece pieces[MODEL_PIECES])
{
	uint32_t blocks = size_block_count(size), i;
	unsigned count = kind == RELEASE_SMALL || blocks < MODEL_PIECES ? 1 : MODEL_PIECES;

	for (i = 0; i < count; i++) {
		uint32_t block = (uint32_t)(world_random(w) % (blocks / count)) +
		    i * (blocks / count);
		const uint8_t *old = replica + block * SMUF_BLOCK_BYTES;
		struct wire_writer version = wire_writer(pieces[i].bytes, 8);
		bool is_new = memcmp(old, (const uint8_t[8]){ 0 }, 8) == 0;

		pieces[i].offset = block * SMUF_BLOCK_BYTES;
		pieces[i].length = SMUF_BLOCK_BYTES;
		fill(w, &pieces[i]);
		wire_put_u64(&version, grant);
		pieces[i].bytes[8] = is_new ? 0 : !old[8];
	}
	return count;
}

static void
put_piece(struct wire_writer *b, const struct model_piece *piece, bool is_smuf)
{
	uint32_t i;

	if (is_smuf) {
		wire_put_u32(b, piece->offset / SMUF_BLOCK_BYTES);
		wire_put_bytes(b, piece->bytes + 8, 1 + SEALBOX_TAG_SIZE);
		return;
	}
	wire_put_u32(b, piece->offset);
	wire_put_u32(b, piece->length);
	for (i = 0; i < piece->length; i++)
		wire_put_u8(b, piece->bytes[i % MODEL_PIECE_BYTES]);
}

/* True when the server must refuse the delta of that kind. */
static bool
is_false(enum asks_release kind)
{
	return kind == RELEASE_BEYOND || kind == RELEASE_TWICE || kind == RELEASE_SHORT ||
	    kind == RELEASE_FLAGS;
}

/*
 * Writes the delta of a RELEASE for what p holds. Returns the serial of the patch that describes
 * it, 0 for none.
 */
static unsigned
put_delta(struct world *w, struct peer *p, const struct model_holding *h, enum asks_release kind,
    struct wire_writer *b)
{
	bool is_smuf = w->subject->is_smuf;
	uint32_t size = w->model.files[h->file].size;
	struct model_piece pieces[MODEL_PIECES];
	const uint8_t *replica = p->descs[h->fd].replica;
	struct model_patch *patch;
	unsigned count = 0, i;

	if (kind != RELEASE_NOTHING && kind != RELEASE_UNVERIFIED && size >= MODEL_PIECES)
		count = is_smuf ? choose_blocks(w, size, kind, h->grant, replica, pieces) :
				  choose_bytes(w, size, kind, pieces);
	if (count > 0 && kind == RELEASE_BEYOND)
		pieces[count - 1].offset = MODEL_BYTES;
	if (count > 1 && kind == RELEASE_TWICE)
		pieces[1] = pieces[0];
	patch = count > 0 ? model_add_patch(&w->model, h->file) : NULL;
	/* Of a file with a model nothing is published that the model does not know. */
	if (patch == NULL && h->file < MODEL_ANCHORED)
		count = 0;
	wire_put_u32(b, count);
	for (i = 0; i < count; i++)
		put_piece(b, &pieces[i], is_smuf);
	if (kind == RELEASE_SHORT && count > 0)
		b->left++;
	if (patch == NULL)
		return 0;
	patch->count = count;
	memcpy(patch->pieces, pieces, count * sizeof pieces[0]);
	if (is_false(kind) && (kind != RELEASE_TWICE || count > 1))
		patch->outcome = MODEL_REFUSED;
	return patch->serial;
}

static uint8_t
flags_of(enum asks_release kind)
{
	switch (kind) {
	case RELEASE_ONE_WAY:
		return PROTOCOL_RELEASE_ONE_WAY;
	case RELEASE_UNVERIFIED:
		return PROTOCOL_RELEASE_UNVERIFIED;
	case RELEASE_KEEP:
		return PROTOCOL_RELEASE_KEEP;
	case RELEASE_FLAGS:
		return 0x80;
	default:
		return 0;
	}
}

/* A RELEASE of a grant that p does not hold, or has not heard of: it publishes nothing. */
static void
release_blindly(struct world *w, struct peer *p, uint32_t fd, uint64_t grant, bool is_large)
{
	struct wire_writer b = begin_body();

	wire_put_u32(&b, fd);
	wire_put_u64(&b, grant);
	wire_put_u8(&b, 0);
	wire_put_u32(&b, 0);
	if (is_large)
		memset(wire_put_room(&b, PROTOCOL_SMALL_BODY_MOST), 0, PROTOCOL_SMALL_BODY_MOST);
	ask(w, p, (struct peer_request){ .op = OP_RELEASE, .fd = fd }, &b);
}

void
asks_release(struct world *w, struct peer *p, uint32_t fd, enum asks_release kind)
{
	struct model_holding *h = model_find_fd(&w->model, p->number, fd), held;
	struct peer_request q = { .op = OP_RELEASE, .fd = fd };
	struct wire_writer b;

	if (!peer_can_ask(p))
		return;
	if (h == NULL || kind == RELEASE_STALE || kind == RELEASE_STALE_LARGE) {
		/* Without a holding, this may be the grant that is under way. */
		if (h == NULL)
			end_fd(w, p, fd);
		release_blindly(w, p, fd, h == NULL ? 1 : h->grant + 1,
		    kind == RELEASE_STALE_LARGE);
		return;
	}
	held = *h;
	end_fd(w, p, fd);
	b = begin_body();
	wire_put_u32(&b, fd);
	wire_put_u64(&b, held.grant);
	wire_put_u8(&b, flags_of(kind));
	if (held.has_delta) {
		q.patch = put_delta(w, p, &held,
		    held.mode == PROTOCOL_SHARED ? RELEASE_NOTHING : kind, &b);
		q.patch_file = held.file;
	}
	if (kind == RELEASE_KEEP && held.mode == PROTOCOL_EXCLUSIVE)
		q.kept = held.grant;
	q.has_delta = held.has_delta;
	q.is_one_way = kind == RELEASE_ONE_WAY;
	ask(w, p, q, &b);
}

/* Version 1. */

void
asks_lock_turn(struct world *w, struct peer *p, uint32_t fd, uint32_t turn, uint8_t type)
{
	struct wire_writer b = begin_body();

	wire_put_u32(&b, fd);
	if (w->subject->is_smuf)
		wire_put_u32(&b, turn);
	wire_put_u8(&b, type);
	ask(w, p, (struct peer_request){ .op = OP_LOCK, .fd = fd }, &b);
}

void
asks_lock(struct world *w, struct peer *p, uint32_t fd, enum asks_lock kind)
{
	int file = file_of(p, fd);
	bool has_segment = file >= 0 && w->model.files[file].size > 0;
	uint32_t turn = 0;

	if (w->subject->is_smuf && file >= 0) {
		turn = world_host_word(w, file, LAYOUT_TURN_AT, 0) + (kind == LOCK_TURN);
		if (kind == LOCK_TICKET)
			world_host_word(w, file, LAYOUT_TICKET_AT, 2);
	}
	asks_lock_turn(w, p, fd, turn, (uint8_t)(has_segment != (kind == LOCK_TYPE)));
}

/* A seal of version 1: three fields with their lengths. */
static void
put_seal(struct wire_writer *b, const uint8_t *bytes, bool is_wrong)
{
	static const uint32_t sizes[] = { SEALBOX_NONCE_SIZE, SEALBOX_KEY_SIZE, SEALBOX_TAG_SIZE };
	unsigned i;

	for (i = 0; i < 3; bytes += sizes[i++]) {
		wire_put_u32(b, sizes[i] + is_wrong);
		wire_put_bytes(b, bytes, sizes[i]);
	}
}

/* The whole segment of smdish as the peer has it, with the piece written over it. */
static void
put_segment(const struct peer_desc *d, struct wire_writer *b, uint32_t size, uint32_t said,
    const struct model_piece *piece)
{
	uint8_t *room;

	wire_put_u32(b, said);
	room = wire_put_room(b, size);
	memset(room, 0, size);
	if (d->replica != NULL)
		memcpy(room, d->replica, size);
	model_apply(room, piece);
}

/* Chooses the patch of an UNLOCK, and writes it. */
static unsigned
put_unlock(struct world *w, const struct peer *p, const struct model_holding *h,
    enum asks_unlock kind, struct wire_writer *b)
{
	enum { SEAL_BYTES = SEALBOX_NONCE_SIZE + SEALBOX_KEY_SIZE + SEALBOX_TAG_SIZE };
	uint32_t size = w->model.files[h->file].size;
	struct model_patch *patch = model_add_patch(&w->model, h->file);
	struct model_piece piece[MODEL_PIECES];
	bool is_true;

	if (size < 2)
		kind = UNLOCK_TRUE;
	is_true = kind == UNLOCK_TRUE || (w->subject->is_smuf && kind == UNLOCK_SIZE);
	if (w->subject->is_smuf) {
		fill(w, &piece[0]);
		piece[0].offset = 0;
		piece[0].length = SEAL_BYTES;
		put_seal(b, piece[0].bytes, kind == UNLOCK_SHAPE);
	} else {
		choose_bytes(w, size - !is_true, RELEASE_SMALL, piece);
		put_segment(&p->descs[h->fd], b, kind == UNLOCK_SIZE ? size - 1 : size,
		    size - !is_true, piece);
	}
	if (patch == NULL)
		return 0;
	patch->count = 1;
	patch->pieces[0] = piece[0];
	patch->outcome = is_true ? MODEL_UNKNOWN : MODEL_REFUSED;
	return patch->serial;
}

void
asks_unlock(struct world *w, struct peer *p, uint32_t fd, enum asks_unlock kind)
{
	int file = file_of(p, fd);
	struct model_holding *h = file < 0 ? NULL : model_find_file(&w->model, p->number, file);
	struct peer_request q = { .op = OP_UNLOCK, .fd = fd };
	struct wire_writer b = begin_body();

	if (!peer_can_ask(p))
		return;
	wire_put_u32(&b, fd);
	wire_put_u8(&b, (uint8_t)((h != NULL && h->has_delta) != (kind == UNLOCK_TYPE)));
	if (h != NULL && h->has_delta && kind != UNLOCK_TYPE &&
	    w->model.files[file].patch_count < MODEL_PATCHES) {
		q.patch = put_unlock(w, p, h, kind, &b);
		q.patch_file = file;
	}
	end_all(w, p);
	ask(w, p, q, &b);
}

/* What no client sends. */

void
asks_odd(struct world *w, struct peer *p, uint32_t op)
{
	struct wire_writer b = begin_body();

	memset(wire_put_room(&b, ODD_SIZE), 0, ODD_SIZE);
	ask(w, p, (struct peer_request){ .op = op, .is_odd = true }, &b);
}

void
asks_garbage(struct world *w, struct peer *p, unsigned kind)
{
	static const uint8_t tls[] = { 0x16, 3, 1, 0, 5, 1, 0, 0 };
	static const uint8_t large[] = { 0, 0, 0, OP_OPEN, 0x7f, 0xff, 0xff, 0xff };
	uint64_t noise[4] = { world_random(w), world_random(w), world_random(w), world_random(w) };

	if (!peer_can_ask(p))
		return;
	end_all(w, p);
	if (kind % 3 == 0)
		peer_garble(p, tls, sizeof tls);
	else if (kind % 3 == 1)
		peer_garble(p, large, sizeof large);
	else
		peer_garble(p, noise, sizeof noise);
}
