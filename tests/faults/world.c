#include "tests/faults/world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/wire/status.h"
#include "tests/faults/answers.h"
#include "tests/faults/asks.h"
#include "tests/faults/faults.h"
#include "tests/stress/patience.h"

enum {
	LOCK_MS = 10 * 1000,
	TURNS = 32,
	TURNS_MOST = 1024,
	WAITS_OF_TURNS = 10,
	LATER_MS = 2 * 60 * 1000
};

uint64_t
world_random(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

bool
world_is_v1_file(const struct world *w, int file)
{
	return w->subject->is_smuf && file >= MODEL_NAME_V1 && file < MODEL_ANCHORED;
}

uint32_t
world_host_word(const struct world *w, int file, int offset, uint32_t add)
{
	char path[SUBJECT_PATH_SIZE + 16];
	uint32_t word = 0;
	int fd;

	snprintf(path, sizeof path, "%s%s", w->subject->memdir, model_name(file));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &word, sizeof word, offset) == sizeof word && add != 0) {
		word += add;
		(void)!pwrite(fd, &word, sizeof word, offset);
	}
	close(fd);
	return word;
}

/* Connections. */

void
world_connect(struct world *w, struct peer *p)
{
	int fd = subject_dial(w->subject);

	if (fd < 0)
		verdict_say(&w->v, "connect: %s", strerror(-fd));
	else
		peer_begin(p, fd);
}

void
world_hang_up(struct world *w, struct peer *p)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		w->has_unknown_forks |= p->requests[i].op == OP_FORK ||
		    p->requests[i].op == OP_CHILD_ATTACH;
	model_drop_all(&w->model, p->number);
	peer_close(p);
}

/* Takes in what has come to p. */
static void
read_replies(struct world *w, struct peer *p)
{
	bool goes_on = peer_receive(p);
	struct peer_request q;
	struct wire_reader body;
	uint32_t status;

	while (!w->v.is_bad && peer_next_reply(p, &q, &status, &body, answers_accepted, w, &w->v))
		answers_take(w, p, &q, status, body);
	if (goes_on)
		return;
	if (!p->is_wild && !p->is_shut && !p->is_halting)
		w->ended++;
	world_hang_up(w, p);
}

static bool
reads(struct world *w, const struct peer *p)
{
	return !p->is_lazy || model_find_disputed(&w->model) != NULL;
}

static bool
wants_to_send(const struct peer *p)
{
	return buf_size(&p->out) > (p->is_halting ? p->halt : 0);
}

void
world_pump(struct world *w, int ms)
{
	struct pollfd fds[WORLD_ALL];
	unsigned i;

	for (i = 0; i < WORLD_ALL; i++) {
		struct peer *p = &w->peers[i];

		peer_flush(p);
		fds[i] = (struct pollfd){ .fd = p->fd };
		if (p->fd >= 0 && reads(w, p))
			fds[i].events |= POLLIN;
		if (p->fd >= 0 && wants_to_send(p))
			fds[i].events |= POLLOUT;
		if (fds[i].events == 0)
			fds[i].fd = -1;
	}
	if (poll(fds, WORLD_ALL, ms) <= 0)
		return;
	for (i = 0; i < WORLD_ALL; i++)
		if (w->peers[i].fd >= 0 && (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) &&
		    reads(w, &w->peers[i]))
			read_replies(w, &w->peers[i]);
}

/* Settling. */

/* True while p has something to come that the daemon owes it now. */
static bool
is_busy(const struct peer *p)
{
	if (p->fd < 0 || p->is_lazy || p->is_halting)
		return false;
	if (p->is_wild || p->is_shut)
		return p->is_shut;
	return wants_to_send(p) || peer_is_owed(p);
}

static const struct peer *
find_busy(const struct world *w)
{
	unsigned i;

	for (i = 0; i < WORLD_ALL; i++)
		if (is_busy(&w->peers[i]))
			return &w->peers[i];
	return NULL;
}

static void
report_silence(struct world *w)
{
	const struct model_holding *h = model_find_disputed(&w->model);
	const struct peer *p = find_busy(w);

	if (h != NULL)
		verdict_say(&w->v, "the lock of %s is held twice, by peer %d for one",
		    model_name(h->file), h->peer);
	else if (p->is_shut)
		verdict_say(&w->v, "peer %d has shut down, and the daemon keeps the connection",
		    p->number);
	else
		verdict_say(&w->v, "peer %d: no reply to %s within %d s", p->number,
		    p->count > 0 ? protocol_op_name(p->requests[0].op) : "anything",
		    SUBJECT_WAIT_MS / 1000);
}

static void
settle(struct world *w, bool is_thorough)
{
	uint64_t deadline = patience_until(SUBJECT_WAIT_MS);

	while (!w->v.is_bad &&
	    (model_find_disputed(&w->model) != NULL || (is_thorough && find_busy(w) != NULL))) {
		if (clock_now() > deadline)
			report_silence(w);
		else
			world_pump(w, 100);
	}
}

void
world_settle(struct world *w)
{
	settle(w, true);
}

void
world_settle_disputes(struct world *w)
{
	settle(w, false);
}

/* The daemon has served a connection that came after everything else. */
void
world_sync(struct world *w)
{
	int fd = subject_dial(w->subject);

	if (fd < 0) {
		verdict_say(&w->v, "connect: %s", strerror(-fd));
		return;
	}
	shutdown(fd, SHUT_WR);
	if (!subject_await(fd))
		verdict_say(&w->v, "the daemon does not close a connection that has ended");
	close(fd);
}

void
world_pass_time(struct world *w, uint32_t ms)
{
	unsigned i, j, waits;

	/* What happened before happens before. */
	world_sync(w);
	atomic_fetch_add(&w->subject->faults->clock_offset, ms * CLOCK_MS);
	w->passed_ms += ms;
	w->has_unknown_forks |= ms >= PROTOCOL_FORK_GRACE_MS;
	/* From half a lease on, no peer is sure that it still holds what it was granted. */
	if (w->subject->has_leases && w->passed_ms >= SUBJECT_LEASE_MS / 2) {
		model_drop_all(&w->model, -1);
		for (i = 0; i < WORLD_ALL; i++)
			for (j = 0; j < w->peers[i].count; j++)
				w->peers[i].requests[j].may_have_ended = true;
		w->passed_ms = 0;
	}
	/* It serves connections that come quickly in one turn, with one look at the clock. */
	waits = atomic_load(&w->subject->faults->waits);
	while (!w->v.is_bad && atomic_load(&w->subject->faults->waits) - waits < WAITS_OF_TURNS)
		world_sync(w);
}

/* The begin. */

static struct peer *
begin_anchor(struct world *w, unsigned number, bool is_version_2)
{
	struct peer *p = &w->peers[number];

	world_connect(w, p);
	if (is_version_2)
		asks_hello(w, p, PROTOCOL_VERSION_2);
	asks_table(w, p);
	return p;
}

/* Opens the files that are open all the time, with a peer of each version. */
static void
open_files(struct world *w, unsigned number_v2, unsigned number_v1)
{
	struct peer *v2 = begin_anchor(w, number_v2, true);
	struct peer *v1 = w->subject->is_smuf ? begin_anchor(w, number_v1, false) : v2;
	int file;

	for (file = 0; file < MODEL_ANCHORED; file++) {
		struct peer *p = world_is_v1_file(w, file) ? v1 : v2;

		asks_open(w, p, file);
		world_settle(w);
		if (!w->v.is_bad && w->watched != 0)
			verdict_say(&w->v, "OPEN of %s: expected 0, got %s", model_name(file),
			    status_name((uint32_t)w->watched));
	}
}

void
world_begin(struct world *w, struct subject *s, bool arms_faults)
{
	int i;

	memset(w, 0, sizeof *w);
	w->subject = s;
	w->random = UINT64_C(0x9e3779b97f4a7c15);
	model_init(&w->model);
	for (i = 0; i < WORLD_ALL; i++)
		peer_init(&w->peers[i], i);
	subject_start(s, &w->v);
	if (w->v.is_bad)
		return;
	open_files(w, WORLD_ANCHOR, WORLD_ANCHOR_V1);
	world_sync(w);
	atomic_store(&s->faults->is_armed, arms_faults);
}

/* The end. */

/* Peers whose requests mean something release what they hold until nobody waits any more. */

static void
prepare_peer(struct world *w, struct peer *p)
{
	p->is_lazy = p->is_halting = false;
	if (p->is_wild || p->is_shut)
		world_hang_up(w, p);
	else if (p->fd >= 0 && p->version == PROTOCOL_VERSION_1)
		asks_table(w, p);
}

static bool
has_requests(const struct world *w)
{
	unsigned i;

	for (i = 0; i < WORLD_PEERS; i++)
		if (w->peers[i].fd >= 0 && w->peers[i].count > 0)
			return true;
	return false;
}

static void
release_all(struct world *w, struct peer *p)
{
	struct model_holding *h;

	while (peer_can_ask(p) && (h = model_find_any(&w->model, p->number)) != NULL)
		asks_release(w, p, h->fd, RELEASE_NOTHING);
	/* Its reply confirms the one-way RELEASEs. */
	if (peer_can_ask(p) && !peer_is_owed(p) && p->count > 0)
		asks_ping(p);
}

static void
let_all_finish(struct world *w)
{
	uint64_t deadline = patience_until(SUBJECT_WAIT_MS);
	unsigned i;

	for (i = 0; i < WORLD_PEERS; i++)
		prepare_peer(w, &w->peers[i]);
	while (!w->v.is_bad && has_requests(w)) {
		world_settle(w);
		for (i = 0; i < WORLD_PEERS; i++)
			release_all(w, &w->peers[i]);
		world_pump(w, 10);
		if (clock_now() > deadline)
			verdict_say(&w->v, "a lock is lost: peers wait, and none holds it");
	}
	for (i = 0; i < WORLD_PEERS; i++)
		world_hang_up(w, &w->peers[i]);
}

/* Requests of the checker, which must succeed. */
static void
expect_success(struct world *w, const char *what, int file)
{
	if (!w->v.is_bad && w->watched != 0)
		verdict_say(&w->v, "in the end: %s of %s: expected 0, got %s", what,
		    model_name(file),
		    w->watched < 0 ? "nothing" : status_name((uint32_t)w->watched));
}

/* How many descriptors of a file the pending forks have. */
static uint32_t
count_in_forks(const struct world *w, int file)
{
	uint32_t count = 0;
	unsigned i, j;

	for (i = 0; i < w->fork_count; i++)
		for (j = 0; j < PEER_DESCS && !w->forks[i].is_used; j++)
			count += w->forks[i].files[j] == file;
	return count;
}

/* Waits until descriptor fd is one of count of its file. */
static void
await_open_count(struct world *w, struct peer *p, uint32_t fd, int file, uint32_t count)
{
	uint64_t deadline = patience_until(SUBJECT_WAIT_MS);

	do {
		asks_stat(w, p, fd);
		world_settle(w);
		expect_success(w, "STAT", file);
		if (!w->v.is_bad && w->stat.open_count != count)
			patience_breathe();
	} while (!w->v.is_bad && w->stat.open_count != count && clock_now() < deadline);
	if (w->v.is_bad)
		return;
	if (w->stat.open_count != count)
		verdict_say(&w->v, "in the end: %s: open count: expected %u, got %u",
		    model_name(file), count, w->stat.open_count);
	else if (w->stat.waiters != 0)
		verdict_say(&w->v, "in the end: %s: waiters: expected 0, got %u", model_name(file),
		    w->stat.waiters);
}

/* Version 1 of smuf: the turn that is served is the server's to know. */
static void
take_any_turn(struct world *w, struct peer *p, int file)
{
	uint32_t turn, i;
	uint8_t type;

	/* Gives it a segment, or is refused for the size of the one that it has. */
	asks_map(w, p, 0, 1);
	world_settle(w);
	type = w->watched == 0 || w->watched == EINVAL;
	for (turn = 0; turn < TURNS_MOST && !w->v.is_bad; turn += TURNS) {
		for (i = 0; i < TURNS; i++)
			asks_lock_turn(w, p, 0, turn + i, type);
		world_settle(w);
		if (model_find_file(&w->model, p->number, file) != NULL)
			return;
	}
	verdict_say(&w->v, "in the end: the lock of %s is lost: no turn is served",
	    model_name(file));
}

/* A new client gets the lock of a file that the anchor has open, and sees what was published. */
static void
check_file(struct world *w, int file)
{
	bool is_v1 = world_is_v1_file(w, file);
	struct peer *p = begin_anchor(w, WORLD_CHECKER, !is_v1);

	asks_open(w, p, file);
	world_settle(w);
	expect_success(w, "OPEN", file);
	if (w->v.is_bad)
		return;
	if (is_v1) {
		take_any_turn(w, p, file);
	} else {
		await_open_count(w, p, 0, file, 2);
		asks_acquire(w, p, 0, PROTOCOL_EXCLUSIVE, PROTOCOL_TIMEOUT_TRY);
		asks_ping(p);
		world_settle(w);
		expect_success(w, "ACQUIRE", file);
	}
	if (!w->v.is_bad && model_find_file(&w->model, p->number, file) == NULL)
		verdict_say(&w->v, "in the end: the lock of %s is lost", model_name(file));
	world_hang_up(w, p);
}

/* True when the file is a new one, which nobody but p has open. */
static bool
is_new(struct world *w, struct peer *p, int file)
{
	asks_open(w, p, file);
	world_settle(w);
	if (w->watched != 0)
		return false;
	asks_stat(w, p, (uint32_t)file);
	world_settle(w);
	return w->watched == 0 && w->stat.open_count == 1 && w->stat.grants == 0 &&
	    w->stat.size == 0;
}

/* Opens all files until they are new ones: everybody has closed them. */
static void
check_gone(struct world *w)
{
	uint64_t deadline = patience_until(SUBJECT_WAIT_MS);
	struct peer *p;
	int file;

	do {
		world_sync(w);
		p = begin_anchor(w, WORLD_CHECKER, true);
		for (file = 0; file < MODEL_FILES && is_new(w, p, file); file++)
			;
		world_hang_up(w, p);
		if (file == MODEL_FILES)
			return;
	} while (!w->v.is_bad && clock_now() < deadline);
	verdict_say(&w->v, "in the end: %s is not gone: open count %u, grants %llu",
	    model_name(file), w->stat.open_count, (unsigned long long)w->stat.grants);
}

/* Besides the anchor only the forks that were answered have files open. */
static void
check_forks(struct world *w)
{
	struct peer *p = begin_anchor(w, WORLD_CHECKER, true);

	asks_open(w, p, 0);
	world_settle(w);
	expect_success(w, "OPEN", 0);
	if (!w->v.is_bad)
		await_open_count(w, p, 0, 0, 2 + count_in_forks(w, 0));
	world_hang_up(w, p);
}

void
world_end(struct world *w)
{
	int file;

	atomic_store(&w->subject->faults->is_armed, false);
	if (!w->v.is_bad)
		let_all_finish(w);
	if (!w->v.is_bad && !w->has_unknown_forks)
		check_forks(w);
	/* Pending forks expire. */
	if (!w->v.is_bad)
		world_pass_time(w, LATER_MS);
	for (file = 0; file < MODEL_ANCHORED && !w->v.is_bad; file++)
		check_file(w, file);
	for (file = 0; file < WORLD_ALL; file++)
		world_hang_up(w, &w->peers[file]);
	if (!w->v.is_bad)
		check_gone(w);
	for (file = 0; file < WORLD_ALL; file++)
		world_hang_up(w, &w->peers[file]);
	subject_stop(w->subject, &w->v);
}
