#include "tests/faults/drive.h"

#include <sys/socket.h>

#include "common/wire/status.h"
#include "common/wire/wire.h"
#include "tests/faults/asks.h"
#include "tests/faults/world.h"

enum { ODD_MODE = 4, ACTIONS_MOST = 200 };

static void
begin(struct world *w, struct peer *p, bool is_version_2)
{
	world_hang_up(w, p);
	world_connect(w, p);
	if (is_version_2)
		asks_hello(w, p, PROTOCOL_VERSION_2);
	asks_table(w, p);
}

/* The connection breaks in the middle of a request, or its sending side ends. */
static void
shut(struct world *w, struct peer *p)
{
	unsigned i;

	world_pump(w, 0);
	if (p->fd < 0)
		return;
	model_drop_all(&w->model, p->number);
	for (i = 0; i < p->count; i++)
		p->requests[i].may_have_ended = true;
	p->is_shut = true;
	shutdown(p->fd, SHUT_WR);
}

static void
acquire(struct world *w, struct peer *p, const struct drive_action *a, uint8_t mode)
{
	asks_acquire(w, p, a->fd, mode, a->arg);
	asks_ping(p);
}

/* What concerns the connection. False for a request. */
static bool
act_on_connection(struct world *w, struct peer *p, const struct drive_action *a)
{
	switch (a->act) {
	case DRIVE_BEGIN:
		begin(w, p, a->arg == PROTOCOL_VERSION_2);
		break;
	case DRIVE_CONNECT:
		world_hang_up(w, p);
		world_connect(w, p);
		break;
	case DRIVE_HALF:
		p->is_halting = true;
		p->halt = a->arg;
		break;
	case DRIVE_WHOLE:
		p->is_halting = false;
		break;
	case DRIVE_SHUT:
		shut(w, p);
		break;
	case DRIVE_HANG_UP:
		world_hang_up(w, p);
		break;
	case DRIVE_LAZY:
		p->is_lazy = a->arg != 0;
		break;
	case DRIVE_TIME:
		world_pass_time(w, a->arg);
		break;
	default:
		return false;
	}
	return true;
}

static void
send_request(struct world *w, struct peer *p, const struct drive_action *a)
{
	unsigned i;

	switch (a->act) {
	case DRIVE_HELLO:
		asks_hello(w, p, a->arg);
		break;
	case DRIVE_TABLE:
		asks_table(w, p);
		break;
	case DRIVE_OPEN:
		asks_open(w, p, (int)a->arg);
		break;
	case DRIVE_CLOSE:
		asks_close(w, p, a->fd);
		break;
	case DRIVE_MAP:
		asks_map(w, p, a->fd, a->arg);
		break;
	case DRIVE_EXCLUDE:
		acquire(w, p, a, PROTOCOL_EXCLUSIVE);
		break;
	case DRIVE_SHARE:
		acquire(w, p, a, PROTOCOL_SHARED);
		break;
	case DRIVE_UPGRADE:
		acquire(w, p, a, PROTOCOL_UPGRADE);
		break;
	case DRIVE_ODD_MODE:
		acquire(w, p, a, ODD_MODE);
		break;
	case DRIVE_RELEASE:
		asks_release(w, p, a->fd, a->arg);
		if (a->arg == RELEASE_ONE_WAY)
			asks_ping(p);
		break;
	case DRIVE_LOCK:
		asks_lock(w, p, a->fd, a->arg);
		break;
	case DRIVE_UNLOCK:
		asks_unlock(w, p, a->fd, a->arg);
		break;
	case DRIVE_CANCEL:
		asks_cancel(w, p);
		break;
	case DRIVE_STAT:
		asks_stat(w, p, a->fd);
		break;
	case DRIVE_FORK:
		asks_fork(w, p);
		break;
	case DRIVE_ATTACH:
		asks_attach(w, p, a->arg);
		break;
	case DRIVE_ODD:
		asks_odd(w, p, a->arg);
		break;
	case DRIVE_PINGS:
		for (i = 0; i < a->arg; i++)
			asks_ping(p);
		break;
	case DRIVE_GARBAGE:
		asks_garbage(w, p, a->arg);
		break;
	case DRIVE_HOLDS:
		/* A grant that was given to it before comes before the reply to this. */
		asks_ping(p);
		break;
	default:
		break;
	}
}

void
drive_act(struct world *w, const struct drive_action *a, bool is_hasty)
{
	struct peer *p = &w->peers[a->peer];

	w->watched = WORLD_NO_STATUS;
	if (!act_on_connection(w, p, a))
		send_request(w, p, a);
	world_pump(w, 0);
	if (is_hasty)
		world_settle_disputes(w);
	else
		world_settle(w);
}

static void
check_expected(struct world *w, const struct drive_script *script, unsigned line)
{
	const struct drive_action *a = &script->actions[line];

	if (w->v.is_bad)
		return;
	if (a->act == DRIVE_HOLDS) {
		if (model_find_fd(&w->model, (int)a->peer, a->fd) == NULL)
			verdict_say(&w->v, "%s, action %u: peer %u does not hold the lock",
			    script->name, line, a->peer);
	} else if (a->expected != DRIVE_ANY && a->expected != w->watched) {
		verdict_say(&w->v, "%s, action %u: expected %s, got %s", script->name, line,
		    a->expected < 0 ? "no reply" : status_name((uint32_t)a->expected),
		    w->watched < 0 ? "no reply" : status_name((uint32_t)w->watched));
	}
}

void
drive_script(struct world *w, const struct drive_script *script, bool is_exact)
{
	unsigned i;

	for (i = 0; script->actions[i].act != DRIVE_ACTS && !w->v.is_bad; i++) {
		drive_act(w, &script->actions[i], false);
		/* A closed connection shows nothing: see that the daemon has closed it, too. */
		if (script->actions[i].act == DRIVE_HANG_UP ||
		    script->actions[i].act == DRIVE_GARBAGE)
			world_sync(w);
		if (is_exact)
			check_expected(w, script, i);
	}
}

/* Bytes. */

/* Acts that bytes choose from: those that do more come more often. */
static const uint8_t choices[] = { DRIVE_BEGIN, DRIVE_CONNECT, DRIVE_HELLO, DRIVE_TABLE, DRIVE_OPEN,
	DRIVE_OPEN, DRIVE_OPEN, DRIVE_CLOSE, DRIVE_MAP, DRIVE_MAP, DRIVE_EXCLUDE, DRIVE_EXCLUDE,
	DRIVE_EXCLUDE, DRIVE_SHARE, DRIVE_SHARE, DRIVE_ODD_MODE, DRIVE_RELEASE, DRIVE_RELEASE,
	DRIVE_RELEASE, DRIVE_RELEASE, DRIVE_LOCK, DRIVE_LOCK, DRIVE_UNLOCK, DRIVE_UNLOCK,
	DRIVE_CANCEL, DRIVE_STAT, DRIVE_FORK, DRIVE_ATTACH, DRIVE_PINGS, DRIVE_ODD, DRIVE_GARBAGE,
	DRIVE_HALF, DRIVE_WHOLE, DRIVE_WHOLE, DRIVE_SHUT, DRIVE_HANG_UP, DRIVE_LAZY, DRIVE_LAZY,
	DRIVE_TIME, DRIVE_UPGRADE, DRIVE_UPGRADE };

static uint32_t
pick_arg(enum drive_act act, uint8_t byte)
{
	static const uint32_t sizes[] = { 100, 9000, 9000, 70000, 4096, 1, 0, SUBJECT_SEGMENT_MOST,
		SUBJECT_SEGMENT_MOST + 1, UINT32_MAX };
	static const uint32_t timeouts[] = { PROTOCOL_TIMEOUT_NEVER, PROTOCOL_TIMEOUT_NEVER,
		PROTOCOL_TIMEOUT_TRY, 50, 5000, UINT32_MAX - 1 };
	static const uint32_t times[] = { 30, 200, 6000, 11 * 1000, 61 * 1000,
		SUBJECT_LEASE_MS + 1000 };

	switch (act) {
	case DRIVE_BEGIN:
		return byte % 3 == 0 ? PROTOCOL_VERSION_1 : PROTOCOL_VERSION_2;
	case DRIVE_OPEN:
		return byte % 16 == 15 ? MODEL_FILES + byte / 16 : byte % MODEL_FILES;
	case DRIVE_MAP:
		return sizes[byte % (sizeof sizes / sizeof sizes[0])];
	case DRIVE_EXCLUDE:
	case DRIVE_SHARE:
	case DRIVE_UPGRADE:
		return timeouts[byte % (sizeof timeouts / sizeof timeouts[0])];
	case DRIVE_TIME:
		return times[byte % (sizeof times / sizeof times[0])];
	case DRIVE_RELEASE:
		/* Half of them publish. */
		return byte & 1 ? (byte >> 1) % RELEASE_NOTHING : (byte >> 1) % RELEASE_KINDS;
	case DRIVE_LOCK:
		return byte & 1 ? LOCK_TRUE : (byte >> 1) % LOCK_KINDS;
	case DRIVE_UNLOCK:
		return byte & 1 ? UNLOCK_TRUE : (byte >> 1) % UNLOCK_KINDS;
	case DRIVE_HELLO:
		return byte & 3;
	case DRIVE_PINGS:
		return byte & 31;
	case DRIVE_ATTACH:
		return byte % WORLD_FORKS;
	case DRIVE_LAZY:
		return byte & 1;
	default:
		return byte;
	}
}

/* The low two bits of the second byte choose the peer, the next two the descriptor. */
static void
read_action(struct wire_reader *in, struct drive_action *a, bool *is_hasty)
{
	uint8_t first = wire_get_u8(in), second = wire_get_u8(in), third = wire_get_u8(in);

	*a = (struct drive_action){ .act = choices[first % sizeof choices],
		.peer = second % WORLD_PEERS,
		.fd = second / WORLD_PEERS % 4 };
	a->arg = pick_arg(a->act, third);
	*is_hasty = second >= 0x80;
}

void
drive_bytes(struct world *w, const uint8_t *bytes, size_t size)
{
	struct wire_reader in = wire_reader(bytes, size);
	struct drive_action a, begins = { .act = DRIVE_BEGIN };
	bool is_hasty;
	unsigned count;

	for (count = 0; count < ACTIONS_MOST && !w->v.is_bad; count++) {
		read_action(&in, &a, &is_hasty);
		if (in.failed)
			return;
		begins.peer = a.peer;
		begins.arg = a.fd == 3 ? PROTOCOL_VERSION_1 : PROTOCOL_VERSION_2;
		/* Without a connection only connecting has an effect. */
		if (w->peers[a.peer].fd < 0 && a.act != DRIVE_CONNECT)
			drive_act(w, &begins, is_hasty);
		drive_act(w, &a, is_hasty);
	}
}
