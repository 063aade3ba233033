/*
 * fuzz_session: drives the session core with any input (libFuzzer).
 *
 * The first byte chooses the server's limits and how bytes are cut; the rest is a sequence of
 * actions on four sessions: they begin and end; they are fed raw bytes, or frames whose operation
 * and arguments the input chooses; they do not read their replies for a while, or for ever; and
 * time passes. After each step replies must be frames of the protocol, and the kept memory must be
 * bounded. At the end, with all sessions gone and a minute later, the server must have no file, no
 * byte of a segment and no timer.
 *
 * fuzz_smuf.c is the same over smuf's store: FUZZ_SMUF. Its LOCKs have turns and its deltas slots;
 * the host's files are in a directory of their own, which must be empty in the end.
 *
 * Random numbers are counted here (this file has its own random_u64()), so that the input can guess
 * the idents of forks and a finding can be repeated.
 */
#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/crypto/random.h"
#include "common/server/core/schedule.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "common/wire/wire.h"
#include "tests/unit/coretime.h"
#ifdef FUZZ_SMUF
#include "smuf/sealdelta.h"
#include "smuf/store.h"
#else
#include "smdish/store.h"
#endif

/* The segments must include one of more than PROTOCOL_SMALL_BODY_MOST. */
enum {
	SESSION_COUNT = 4,
	FRAME_MOST = 1 << 20,
	BUDGET = 512 * 1024,
	SEGMENT_MOST = 96 * 1024 + 1,
	GRACE_S = 61
};

enum action {
	ACTION_FRAME, /* twice as likely as the rest */
	ACTION_FRAME_TOO,
	ACTION_RAW,
	ACTION_DRAIN,
	ACTION_TIME,
	ACTION_HELLO,
	ACTION_SWITCH, /* begins a session that has not begun, ends one that has */
	ACTION_SETTING,
	ACTION_COUNT
};

/* A connection as the event loop has it. */
struct peer {
	struct session *session;
	uint8_t header[FRAME_HEADER_SIZE]; /* of the reply that is being read */
	size_t header_have;
	uint64_t body_left;
	bool is_lazy; /* its replies are read only when an action says so */
	bool is_deaf; /* writing to it fails */
};

static struct peer peers[SESSION_COUNT];
static struct server *server;
static uint32_t segment_limit;
static uint64_t now, random_count;
static bool is_cut;   /* bytes come and go a few at a time */
static size_t budget; /* bytes that may still be fed: bounds the time of a short input */
static uint8_t frame[FRAME_MOST];
static void *store_context;
#ifdef FUZZ_SMUF
static char directory[PATH_MAX];
#endif

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
random_u64(uint64_t *out)
{
	*out = ++random_count;
	return 0;
}

int
random_bytes(void *out, size_t size)
{
	memset(out, 0x5a, size);
	return 0;
}

/* Returns how many of size bytes to hand over at once. */
static size_t
portion(size_t size)
{
	size_t most = is_cut ? (size < 4096 ? 3 : 5003) : size;

	return size < most ? size : most;
}

/* The server's side. */

/* When bytes are cut, every budget is spent at once: all work is done in its smallest pieces. */
static uint64_t
spent(void)
{
	return UINT64_MAX;
}

static struct budget
turn_budget(void)
{
	return is_cut ? (struct budget){ .clock = spent } : BUDGET_UNLIMITED;
}

/* Replies are whole frames with statuses of the protocol; an error has no body. */
static void
check_replies(struct peer *p, const uint8_t *data, size_t size)
{
	struct frame f;
	uint64_t n;

	while (size > 0) {
		if (p->body_left > 0) {
			n = p->body_left < size ? p->body_left : size;
			p->body_left -= n;
			data += n;
			size -= (size_t)n;
			continue;
		}
		p->header[p->header_have++] = *data++;
		size--;
		if (p->header_have < FRAME_HEADER_SIZE)
			continue;
		p->header_have = 0;
		f = frame_get(p->header);
		assert(strcmp(status_name(frame_untagged(f.code)), "?") != 0);
		assert(frame_untagged(f.code) == 0 || f.body_size == 0);
		assert(f.body_size <= protocol_largest_body(SEGMENT_MOST));
		p->body_left = f.body_size;
	}
}

static void
end_session(struct peer *p)
{
	session_destroy(p->session);
	*p = (struct peer){ 0 };
}

/* Takes up to most bytes of replies. */
static void
drain(struct peer *p, size_t most)
{
	const uint8_t *data;
	size_t size;

	while (p->session != NULL && most > 0 && (size = session_output(p->session, &data)) > 0) {
		if (p->is_deaf) {
			session_write_failed(p->session);
			assert(session_output(p->session, &data) == 0);
			break;
		}
		if (size > most)
			size = most;
		size = portion(size);
		check_replies(p, data, size);
		session_sent(p->session, size);
		most -= size;
	}
}

static struct peer *
peer_of(const struct session *s)
{
	size_t i;

	for (i = 0; i < SESSION_COUNT; i++)
		if (peers[i].session == s)
			return &peers[i];
	abort();
}

/* A turn of the session, with what it has to do and to say; true if there was something. */
static bool
turn(struct peer *p)
{
	struct budget b = turn_budget();
	const uint8_t *data;
	bool has_work = session_has_work(p->session);

	if (has_work)
		session_work(p->session, &b);
	if (!p->is_lazy)
		drain(p, SIZE_MAX);
	session_turn_ended(p->session);
	if (session_is_over(p->session) && (p->is_deaf || session_output(p->session, &data) == 0))
		end_session(p);
	return has_work;
}

/* Acts as the event loop does after every event. */
static void
settle(void)
{
	struct budget b = turn_budget();
	struct session *s;
	bool moved;
	size_t i;

	do {
		moved = schedule_run(server_schedule(server), &b);
		while ((s = server_next_ready(server)) != NULL) {
			(void)turn(peer_of(s));
			moved = true;
		}
		for (i = 0; i < SESSION_COUNT; i++)
			moved = (peers[i].session != NULL && turn(&peers[i])) || moved;
	} while (moved);
}

/*
 * Unsent replies are bounded by the high mark, plus one piece of a grant and the replies of one
 * request.
 */
static void
check_bounds(void)
{
	const uint8_t *data;
	size_t i;

	assert(server_file_count(server) <= 4096);
	for (i = 0; i < SESSION_COUNT; i++)
		if (peers[i].session != NULL)
			assert(session_output(peers[i].session, &data) <= 3 * PROTOCOL_UNSENT_MOST);
}

static void
feed(struct peer *p, const uint8_t *data, size_t size)
{
	struct budget b = turn_budget();
	size_t n;

	if (size > budget)
		size = budget;
	budget -= size;
	while (size > 0 && p->session != NULL && session_wants_input(p->session)) {
		n = portion(size);
		session_feed(p->session, data, n, &b);
		data += n;
		size -= n;
		settle();
	}
}

/* The input's side: small numbers mostly, and those at the edges. */

static uint32_t
pick_number(struct wire_reader *in)
{
	static const uint32_t edges[] = { UINT32_MAX, UINT32_MAX - 1, INT32_MAX, 1023, 1024, 4095,
		4096, 4097, 65535, 65536, 10000, 256 };
	uint8_t byte = wire_get_u8(in);

	if (byte < 0xf0)
		return byte & 7;
	if (byte < 0xf0 + sizeof edges / sizeof edges[0])
		return edges[byte - 0xf0];
	return wire_get_u32(in);
}

/* Mostly near the begin of a segment, sometimes a little after its end. */
static uint32_t
pick_size(struct wire_reader *in)
{
	uint32_t value = (uint32_t)wire_get_u8(in) << 8 | wire_get_u8(in);

	return (value & 3) != 0 ? value >> 2 & 31 : value * 4 % (segment_limit + 2);
}

static void
put_filler(struct wire_writer *w, struct wire_reader *in, uint32_t size)
{
	uint8_t *room = wire_put_room(w, size);

	if (room != NULL)
		memset(room, wire_get_u8(in), size);
}

static void
put_name(struct wire_writer *w, struct wire_reader *in)
{
	uint8_t byte = wire_get_u8(in);
	uint32_t size = byte < 0xf0 ? 2 : 250 + (byte & 15);

	wire_put_u32(w, size);
	wire_put_u8(w, '/');
	if (size == 2)
		wire_put_u8(w, 'a' + (byte & 3));
	else
		put_filler(w, in, size - 1);
}

static void
put_delta(struct wire_writer *w, struct wire_reader *in)
{
	uint32_t count = wire_get_u8(in) & 3, i;

	wire_put_u32(w, count);
	for (i = 0; i < count; i++) {
#ifdef FUZZ_SMUF
		wire_put_u32(w, pick_number(in));
		wire_put_u8(w, wire_get_u8(in) & 3);
		put_filler(w, in, SEALBOX_TAG_SIZE);
#else
		uint32_t length = pick_size(in);

		wire_put_u32(w, pick_size(in));
		wire_put_u32(w, length);
		put_filler(w, in, length);
#endif
	}
}

static void
put_unlock(struct wire_writer *w, struct wire_reader *in)
{
	uint8_t type = wire_get_u8(in) & 3;
#ifdef FUZZ_SMUF
	static const uint32_t sizes[] = { SEALBOX_NONCE_SIZE, SEALBOX_KEY_SIZE, SEALBOX_TAG_SIZE };
	int i;

	wire_put_u8(w, type);
	for (i = 0; i < 3 && type != PROTOCOL_TYPE_PURE; i++) {
		wire_put_u32(w, sizes[i]);
		put_filler(w, in, sizes[i]);
	}
#else
	uint32_t size;

	wire_put_u8(w, type);
	if (type == PROTOCOL_TYPE_PURE)
		return;
	size = type == 3 ? segment_limit : pick_size(in);
	wire_put_u32(w, size);
	put_filler(w, in, size);
#endif
}

static void
put_acquire(struct wire_writer *w, struct wire_reader *in)
{
	static const uint32_t timeouts[] = { PROTOCOL_TIMEOUT_TRY, PROTOCOL_TIMEOUT_NEVER,
		PROTOCOL_TIMEOUT_NEVER, 1, 50, 1000, UINT32_MAX - 1, 70000 };
	uint8_t byte = wire_get_u8(in);

	wire_put_u8(w, byte & 3);
	wire_put_u32(w, timeouts[byte >> 2 & 7]);
	wire_put_u64(w, pick_number(in));
}

/* Bit 3 of the byte that chooses the descriptor asks for the holder, too. */
static void
put_stat(struct wire_writer *w, struct wire_reader *in)
{
	bool has_what = in->left > 0 && (in->next[0] & 8) != 0;

	wire_put_u32(w, pick_number(in));
	if (has_what)
		wire_put_u32(w, pick_number(in));
}

/* Builds a body that fits the operation. */
static void
put_body(struct wire_writer *w, struct wire_reader *in, uint32_t op)
{
	switch (op) {
	case OP_CHILD_ATTACH:
		wire_put_u64(w, random_count - (wire_get_u8(in) & 3));
		break;
	case OP_OPEN:
		put_name(w, in);
		break;
	case OP_OPEN2:
		wire_put_u32(w, pick_number(in));
		put_name(w, in);
		break;
	case OP_STAT:
		put_stat(w, in);
		break;
	case OP_CLOSE:
	case OP_CANCEL:
	case OP_PROCESS:
		wire_put_u32(w, pick_number(in));
		break;
	case OP_INSPECT:
		wire_put_u8(w, wire_get_u8(in) & 3);
		wire_put_u64(w, pick_number(in));
		break;
	case OP_LOCK:
		wire_put_u32(w, pick_number(in));
#ifdef FUZZ_SMUF
		wire_put_u32(w, pick_number(in));
#endif
		wire_put_u8(w, wire_get_u8(in) & 3);
		break;
	case OP_UNLOCK:
		wire_put_u32(w, pick_number(in));
		put_unlock(w, in);
		break;
	case OP_MMAP:
		wire_put_u32(w, pick_number(in));
		wire_put_u32(w, pick_size(in));
		break;
	case OP_HELLO:
		wire_put_u32(w, pick_number(in));
		wire_put_u32(w, 0);
		break;
	case OP_ACQUIRE:
		wire_put_u32(w, pick_number(in));
		put_acquire(w, in);
		break;
	case OP_RELEASE:
		wire_put_u32(w, pick_number(in));
		wire_put_u64(w, (uint64_t)wire_get_u8(in));
		wire_put_u8(w, wire_get_u8(in) & 7);
		if (wire_get_u8(in) & 3)
			put_delta(w, in);
		break;
	}
}

/* Sends one frame, sometimes with a wrong length in its header. */
static void
do_frame(struct peer *p, struct wire_reader *in)
{
	struct wire_writer w = wire_writer(frame + FRAME_HEADER_SIZE,
	    sizeof frame - FRAME_HEADER_SIZE);
	uint8_t byte = wire_get_u8(in), tag = wire_get_u8(in);
	uint32_t op = byte % (OP_COUNT + 2), size;

	put_body(&w, in, op);
	size = w.failed ? 0 : (uint32_t)(sizeof frame - FRAME_HEADER_SIZE - w.left);
	frame_put(frame,
	    (struct frame){ frame_tagged(tag & 15, op), tag < 0xf8 ? size : pick_number(in) });
	feed(p, frame, FRAME_HEADER_SIZE + size);
}

static void
do_raw(struct peer *p, struct wire_reader *in)
{
	size_t size = wire_get_u8(in);
	const uint8_t *bytes;

	if (size > in->left)
		size = in->left;
	bytes = wire_get_bytes(in, size);
	feed(p, bytes, size);
}

static void
do_hello(struct peer *p)
{
	static const uint8_t requests[] = { 0, 0, 0, OP_HELLO, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 0,
		0, 1, 0, OP_NEW_FDTABLE, 0, 0, 0, 0 };

	feed(p, requests, sizeof requests);
}

static void
do_switch(struct peer *p)
{
	if (p->session != NULL)
		end_session(p);
	else if (coretime_session(&p->session, server, "fuzz") != 0)
		abort();
	else if (p == peers)
		session_set_operator(p->session);
	settle();
}

static void
do_setting(struct peer *p, uint8_t byte)
{
	if ((byte & 7) == 0)
		p->is_deaf = true;
	else
		p->is_lazy = byte & 1;
}

static void
do_action(struct wire_reader *in)
{
	uint8_t byte = wire_get_u8(in);
	struct peer *p = &peers[byte & (SESSION_COUNT - 1)];
	enum action action = (byte >> 2) % ACTION_COUNT;

	if (p->session == NULL)
		action = ACTION_SWITCH;
	switch (action) {
	case ACTION_FRAME:
	case ACTION_FRAME_TOO:
		do_frame(p, in);
		break;
	case ACTION_RAW:
		do_raw(p, in);
		break;
	case ACTION_DRAIN:
		drain(p, pick_size(in));
		break;
	case ACTION_TIME:
		coretime_advance(server, &now,
		    now + (wire_get_u8(in) & 1 ? 30 * CLOCK_MS : 9 * CLOCK_SEC), settle);
		break;
	case ACTION_HELLO:
		do_hello(p);
		break;
	case ACTION_SWITCH:
		do_switch(p);
		break;
	default:
		do_setting(p, wire_get_u8(in));
	}
	settle();
	check_bounds();
}

/* Chooses the server by the first byte. */
static void
begin(uint8_t byte)
{
	static const uint32_t limits[] = { 16, 5000, 65536, SEGMENT_MOST };
	struct server_config config = server_config_default();
	int r;

	segment_limit = limits[byte & 3];
	config.segment_limit = segment_limit;
	config.total_limit = (uint64_t)segment_limit * (byte & 4 ? 1 : 8);
	config.lease_ms = byte & 8 ? 50 : 0;
	is_cut = byte & 16;
	random_count = 0;
	budget = BUDGET;
	now = 1000 * CLOCK_SEC;
#ifdef FUZZ_SMUF
	r = server_create(&server, &config, &smuf_store, store_context);
#else
	r = server_create(&server, &config, &smdish_store, store_context);
#endif
	assert(r == 0);
	server_set_time(server, now);
}

/* Ends all sessions; a minute later nothing may be left. */
static void
end(void)
{
	size_t i;

	for (i = 0; i < SESSION_COUNT; i++) {
		end_session(&peers[i]);
		settle();
	}
	assert(server_session_count(server) == 0);
	coretime_advance(server, &now, now + GRACE_S * CLOCK_SEC, settle);
	assert(server_file_count(server) == 0);
	assert(server_reserved(server) == 0);
	assert(server_next_deadline(server) == CLOCK_NEVER);
	server_destroy(server);
}

#ifdef FUZZ_SMUF
static void
remove_directory(void)
{
	smuf_store.stop(store_context);
	if (rmdir(directory) != 0)
		abort();
}
#else
static void
stop_store(void)
{
	smdish_store.stop(store_context);
}
#endif

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	(void)log_open("fuzz_session", NULL, LOG_LEVEL_NONE);
#ifdef FUZZ_SMUF
	snprintf(directory, sizeof directory, "%s/fuzz_smuf.XXXXXX",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	if (mkdtemp(directory) == NULL || smuf_store.start(&store_context, directory) != 0)
		abort();
	(void)atexit(remove_directory);
#else
	if (smdish_store.start(&store_context, NULL) != 0)
		abort();
	(void)atexit(stop_store);
#endif
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_reader in = wire_reader(data, size);

	begin(wire_get_u8(&in));
	while (in.left > 0 && !in.failed)
		do_action(&in);
	end();
	return 0;
}
