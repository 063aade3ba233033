#include "common/lock/presence.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
	STATE_MASK = 0xff,
	GENERATION_STEP = 0x100,
	TICKET_SHIFT = 32,
	RECOVERY_LOCK_BYTE = PRESENCE_SLOTS, /* the first byte after the table */
	RECOVERY_PAUSE_NS = 200 * 1000
};

#define GENERATION_MASK UINT64_C(0xffffff00)

void
presence_init(struct presence *p, presence_slot *untrusted_slots, uint64_t table_at, int fd)
{
	struct stat st = { 0 };

	(void)fstat(fd, &st);
	*p = (struct presence){ .untrusted_slots = untrusted_slots,
		.table_at = table_at,
		.fd = fd,
		.device = st.st_dev,
		.inode = st.st_ino,
		.own = PRESENCE_NONE,
		.has_locks = true };
}

static struct flock
byte_of(const struct presence *p, int slot, short type)
{
	return (struct flock){ .l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(p->table_at + (uint64_t)slot * sizeof(presence_slot)),
		.l_len = 1 };
}

bool
presence_is_intact(const struct presence *p)
{
	struct stat st;

	return fstat(p->fd, &st) == 0 && st.st_dev == p->device && st.st_ino == p->inode;
}

/* Locks a slot's byte for us. Returns 0; -EAGAIN when another has it; or a negative errno. */
static int
lock_byte(const struct presence *p, int slot)
{
	struct flock l = byte_of(p, slot, F_WRLCK);

	if (!presence_is_intact(p))
		return -EBADF;
	if (fcntl(p->fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static struct presence_view
view(const struct presence *p, int slot)
{
	uint64_t word = atomic_load(&p->untrusted_slots[slot]);

	return (struct presence_view){ (uint32_t)(word >> TICKET_SHIFT),
		(enum presence_state)(word & STATE_MASK) };
}

static uint64_t
word_of(const struct presence *p, enum presence_state state, uint32_t ticket)
{
	return (uint64_t)ticket << TICKET_SHIFT | p->generation | state;
}

/* Takes the slot by writing, where nobody is: in a file of zeros, or after somebody left. */
static bool
take_by_writing(struct presence *p, int slot)
{
	uint64_t seen = atomic_load(&p->untrusted_slots[slot]);

	if (seen != 0 && (seen & STATE_MASK) != PRESENCE_FREE)
		return false;
	p->generation = (seen + GENERATION_STEP) & GENERATION_MASK;
	return atomic_compare_exchange_strong(&p->untrusted_slots[slot], &seen,
	    word_of(p, PRESENCE_IDLE, 0));
}

/*
 * True when it is ours now. *error: there are no such locks, or something is wrong with the file.
 */
static bool
take(struct presence *p, int slot, int *error)
{
	uint64_t seen;

	if (!p->has_locks)
		return take_by_writing(p, slot);
	*error = lock_byte(p, slot);
	if (*error != 0)
		return false;
	/* Whoever was here is dead. What it said is void, and its ticket with it. */
	seen = atomic_load(&p->untrusted_slots[slot]);
	p->generation = (seen + GENERATION_STEP) & GENERATION_MASK;
	atomic_store(&p->untrusted_slots[slot], word_of(p, PRESENCE_IDLE, 0));
	return true;
}

static bool
is_without_locks(int error)
{
	return error == -EINVAL || error == -ENOSYS || error == -ENOTSUP;
}

/* One try: 0, -EAGAIN while another has it, or what is wrong. */
static int
try_recovery_lock(struct presence *p)
{
	uint32_t nobody = 0;
	int error = p->has_locks ? lock_byte(p, RECOVERY_LOCK_BYTE) : 0;

	if (is_without_locks(error)) {
		p->has_locks = false;
		error = 0;
	}
	if (error != 0 || p->has_locks)
		return error;
	if (p->untrusted_recovery_lock == NULL ||
	    atomic_compare_exchange_strong(p->untrusted_recovery_lock, &nobody, 1))
		return 0;
	return -EAGAIN;
}

int
presence_lock_recovery(struct presence *p, uint64_t deadline)
{
	int error;

	while ((error = try_recovery_lock(p)) == -EAGAIN) {
		if (clock_now() >= deadline)
			return -ETIMEDOUT;
		(void)nanosleep(&(struct timespec){ .tv_nsec = RECOVERY_PAUSE_NS }, NULL);
	}
	p->has_recovery_lock = error == 0 && (p->has_locks || p->untrusted_recovery_lock != NULL);
	return error;
}

void
presence_unlock_recovery(struct presence *p)
{
	struct flock l = byte_of(p, RECOVERY_LOCK_BYTE, F_UNLCK);

	if (!p->has_recovery_lock)
		return;
	p->has_recovery_lock = false;
	if (!p->has_locks)
		atomic_store(p->untrusted_recovery_lock, 0);
	else if (presence_is_intact(p))
		(void)fcntl(p->fd, F_OFD_SETLK, &l);
}

int
presence_claim(struct presence *p)
{
	int slot, error = 0;

	assert(p->own == PRESENCE_NONE);
	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		if (take(p, slot, &error)) {
			p->own = slot;
			return 0;
		}
		if (is_without_locks(error)) {
			p->has_locks = false;
			error = 0;
			slot = -1;
		} else if (error != 0 && error != -EAGAIN) {
			return -EIO;
		}
	}
	return -EUSERS;
}

void
presence_release(struct presence *p)
{
	struct presence_view v;
	struct flock l;

	if (p->own == PRESENCE_NONE)
		return;
	v = view(p, p->own);
	if (p->has_locks)
		presence_set(p, PRESENCE_IDLE, 0);
	/* Nobody would ever find such a ticket dead: it stays, to be skipped. */
	else if (v.state != PRESENCE_ABANDONED ||
	    !presence_change(p, PRESENCE_ABANDONED, PRESENCE_LEFT, v.ticket))
		presence_set(p, PRESENCE_FREE, 0);
	if (p->has_locks && presence_is_intact(p)) {
		l = byte_of(p, p->own, F_UNLCK);
		(void)fcntl(p->fd, F_OFD_SETLK, &l);
	}
	p->own = PRESENCE_NONE;
}

void
presence_set(struct presence *p, enum presence_state state, uint32_t ticket)
{
	assert(p->own != PRESENCE_NONE);
	/*
	 * No fence: what makes a ticket ours (an atomic addition) comes between saying so and being
	 * seen with it, and until WAITING is seen CLAIMING is.
	 */
	atomic_store_explicit(&p->untrusted_slots[p->own], word_of(p, state, ticket),
	    memory_order_release);
}

bool
presence_change(struct presence *p, enum presence_state from, enum presence_state to,
    uint32_t ticket)
{
	uint64_t expected = word_of(p, from, ticket);

	assert(p->own != PRESENCE_NONE);
	return atomic_compare_exchange_strong(&p->untrusted_slots[p->own], &expected,
	    word_of(p, to, ticket));
}

bool
presence_drop_abandoned(struct presence *p, uint32_t ticket)
{
	uint64_t word, state;
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		word = atomic_load(&p->untrusted_slots[slot]);
		state = word & STATE_MASK;
		if ((state != PRESENCE_ABANDONED && state != PRESENCE_LEFT) ||
		    word >> TICKET_SHIFT != ticket)
			continue;
		/* Its owner may want it again at this very moment: only one of us gets it. */
		if (atomic_compare_exchange_strong(&p->untrusted_slots[slot], &word,
			(word & GENERATION_MASK) |
			    (state == PRESENCE_LEFT ? PRESENCE_FREE : PRESENCE_IDLE)))
			return true;
	}
	return false;
}

static bool
is_alive(const struct presence *p, int slot)
{
	struct flock l = byte_of(p, slot, F_WRLCK);

	if (slot == p->own)
		return true;
	if (!p->has_locks) {
		uint64_t word = atomic_load(&p->untrusted_slots[slot]);

		return word != 0 && (word & STATE_MASK) != PRESENCE_FREE &&
		    (word & STATE_MASK) != PRESENCE_LEFT;
	}
	/* What cannot be found out is taken for alive. */
	return fcntl(p->fd, F_OFD_GETLK, &l) != 0 || l.l_type != F_UNLCK;
}

bool
presence_is_dead(const struct presence *p, uint32_t ticket)
{
	struct presence_view v;
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		v = view(p, slot);
		if (v.state == PRESENCE_IDLE || v.state == PRESENCE_FREE)
			continue;
		if (v.state != PRESENCE_CLAIMING && v.ticket != ticket)
			continue;
		/*
		 * An abandoned ticket is nobody's, and not for us to take over: it is to be
		 * skipped.
		 */
		if (v.state == PRESENCE_ABANDONED || is_alive(p, slot))
			return false;
	}
	/* Asked of another file, everybody was dead. */
	return presence_is_intact(p);
}

unsigned
presence_count(const struct presence *p)
{
	unsigned count = 0;
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++)
		count += is_alive(p, slot);
	return count;
}

bool
presence_has_others(const struct presence *p)
{
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++)
		if (slot != p->own && is_alive(p, slot))
			return true;
	return !presence_is_intact(p);
}
