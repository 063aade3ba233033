#include "common/lock/presence.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/testpoint.h"
#include "common/host/hostprobe.h"

enum {
	STATE_MASK = 0xff,
	GENERATION_STEP = 0x100,
	TICKET_SHIFT = 32,
	RECOVERY_LOCK_BYTE = PRESENCE_SLOTS, /* behind the bytes of the slots */
	RECOVERY_PAUSE_NS = 200 * 1000
};

#define GENERATION_MASK UINT64_C(0xffffff00)

/* A slot's word in parts. */
struct view {
	uint32_t ticket;
	enum presence_state state;
};

bool
presence_has_kernel_locks(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &l) == 0 || !hostprobe_is_missing(HOSTPROBE_OFD_LOCK, -errno);
}

void
presence_init(struct presence *p, presence_slot *untrusted_slots, uint64_t table_at,
    const struct ownfd *descriptor, bool has_locks)
{
	*p = (struct presence){ .untrusted_slots = untrusted_slots,
		.table_at = table_at,
		.descriptor = *descriptor,
		.own = PRESENCE_NONE,
		.has_locks = has_locks };
}

static struct flock
byte_of(const struct presence *p, int slot, short type)
{
	return (struct flock){ .l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(p->table_at + (uint64_t)slot * sizeof(presence_slot)),
		.l_len = 1 };
}

/* Locks a slot's byte. Returns 0; -EAGAIN when another process has it; or a negative errno. */
static int
lock_byte(const struct presence *p, int slot)
{
	struct flock l = byte_of(p, slot, F_WRLCK);

	if (!presence_is_intact(p))
		return -EBADF;
	if (fcntl(p->descriptor.fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static void
unlock_byte(const struct presence *p, int slot)
{
	struct flock l = byte_of(p, slot, F_UNLCK);

	if (presence_is_intact(p))
		(void)fcntl(p->descriptor.fd, F_OFD_SETLK, &l);
}

static struct view
view(const struct presence *p, int slot)
{
	uint64_t word = atomic_load(&p->untrusted_slots[slot]);

	return (struct view){ (uint32_t)(word >> TICKET_SHIFT),
		(enum presence_state)(word & STATE_MASK) };
}

static uint64_t
word_of(const struct presence *p, enum presence_state state, uint32_t ticket)
{
	return (uint64_t)ticket << TICKET_SHIFT | p->generation | state;
}

/* Another generation than that of the process that had the slot before. */
static void
set_generation(struct presence *p, uint64_t seen)
{
	p->generation = (seen + GENERATION_STEP) & GENERATION_MASK;
}

/* One try: 0, -EAGAIN while another process holds it, or a negative errno. */
static int
try_lock_recovery(struct presence *p)
{
	uint32_t unlocked = 0;

	if (p->has_locks)
		return lock_byte(p, RECOVERY_LOCK_BYTE);
	return atomic_compare_exchange_strong(p->untrusted_recovery_lock, &unlocked, 1) ? 0 :
											  -EAGAIN;
}

int
presence_lock_recovery(struct presence *p, uint64_t deadline)
{
	int error;

	while ((error = try_lock_recovery(p)) == -EAGAIN) {
		if (clock_now() >= deadline)
			return -ETIMEDOUT;
		(void)nanosleep(&(struct timespec){ .tv_nsec = RECOVERY_PAUSE_NS }, NULL);
	}
	p->has_recovery_lock = error == 0;
	return error;
}

void
presence_unlock_recovery(struct presence *p)
{
	if (!p->has_recovery_lock)
		return;
	p->has_recovery_lock = false;
	if (p->has_locks)
		unlock_byte(p, RECOVERY_LOCK_BYTE);
	else
		atomic_store(p->untrusted_recovery_lock, 0);
}

/* C1, C2: the steps are those of tests/model/lock.pml. */
int
presence_claim(struct presence *p)
{
	int slot, error;

	assert(p->has_locks && p->own == PRESENCE_NONE);
	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		error = lock_byte(p, slot);
		if (error == -EAGAIN)
			continue;
		if (error != 0)
			return error;
		/* The process that had this slot is dead. Its word is void, and its ticket too. */
		set_generation(p, atomic_load(&p->untrusted_slots[slot]));
		atomic_store(&p->untrusted_slots[slot], word_of(p, PRESENCE_IDLE, 0));
		p->own = slot;
		return 0;
	}
	return -EUSERS;
}

void
presence_clear(const struct presence *p)
{
	uint64_t word;
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		word = atomic_load(&p->untrusted_slots[slot]);
		if ((word & STATE_MASK) != PRESENCE_IDLE)
			atomic_store(&p->untrusted_slots[slot],
			    (word & GENERATION_MASK) | PRESENCE_IDLE);
	}
}

/* N1: claims that slot for a ticket, if it is free. */
static bool
claim_for_ticket(struct presence *p, int slot)
{
	uint64_t seen = atomic_load(&p->untrusted_slots[slot]);

	if ((seen & STATE_MASK) != PRESENCE_IDLE)
		return false;
	set_generation(p, seen);
	return atomic_compare_exchange_strong(&p->untrusted_slots[slot], &seen,
	    word_of(p, PRESENCE_CLAIMING, 0));
}

bool
presence_begin(struct presence *p)
{
	int slot;

	if (p->has_locks) {
		presence_set(p, PRESENCE_CLAIMING, 0);
		return true;
	}
	for (slot = 0; slot < PRESENCE_SLOTS; slot++)
		if (claim_for_ticket(p, slot)) {
			p->own = slot;
			return true;
		}
	return false;
}

void
presence_end(struct presence *p)
{
	presence_set(p, PRESENCE_IDLE, 0);
	if (!p->has_locks)
		p->own = PRESENCE_NONE;
}

/* G1, G2 */
void
presence_release(struct presence *p)
{
	if (p->has_locks && p->own != PRESENCE_NONE) {
		presence_set(p, PRESENCE_IDLE, 0);
		unlock_byte(p, p->own);
	}
	p->own = PRESENCE_NONE;
}

void
presence_set(struct presence *p, enum presence_state state, uint32_t ticket)
{
	assert(p->own != PRESENCE_NONE);
	/*
	 * No fence: other processes may see this store late. CLAIMING they see before the ticket,
	 * which is drawn by a read-modify-write. Instead of what comes later they see CLAIMING or
	 * WAITING, and wait.
	 */
	atomic_store_explicit(&p->untrusted_slots[p->own], word_of(p, state, ticket),
	    memory_order_release);
}

bool
presence_resume(struct presence *p, uint32_t ticket)
{
	uint64_t expected = word_of(p, PRESENCE_ABANDONED, ticket);

	assert(p->own != PRESENCE_NONE);
	return atomic_compare_exchange_strong(&p->untrusted_slots[p->own], &expected,
	    word_of(p, PRESENCE_WAITING, ticket));
}

bool
presence_is_abandoned(const struct presence *p, uint32_t ticket)
{
	struct view v;
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		v = view(p, slot);
		if (v.state == PRESENCE_ABANDONED && v.ticket == ticket)
			return true;
	}
	return false;
}

/* S1, S2 */
bool
presence_drop_abandoned(struct presence *p, uint32_t ticket)
{
	uint64_t word;
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		word = atomic_load(&p->untrusted_slots[slot]);
		if ((word & STATE_MASK) != PRESENCE_ABANDONED || word >> TICKET_SHIFT != ticket)
			continue;
		/* Its owner may resume it at this very moment: only one of us gets it. */
		if (atomic_compare_exchange_strong(&p->untrusted_slots[slot], &word,
			(word & GENERATION_MASK) | PRESENCE_IDLE))
			return true;
	}
	return false;
}

/* D2 */
static bool
is_alive(const struct presence *p, int slot)
{
	struct flock l = byte_of(p, slot, F_WRLCK);

	if (slot == p->own)
		return true;
	/* A process counts as alive when the kernel does not answer. */
	return fcntl(p->descriptor.fd, F_OFD_GETLK, &l) != 0 || l.l_type != F_UNLCK;
}

/* D1 to D3 */
bool
presence_is_dead(const struct presence *p, uint32_t ticket)
{
	struct view v;
	int slot;

	if (!p->has_locks)
		return false;
	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		v = view(p, slot);
		if (v.state == PRESENCE_IDLE)
			continue;
		if (v.state != PRESENCE_CLAIMING && v.ticket != ticket)
			continue;
		/* An abandoned ticket is skipped, and not recovered. */
		if (v.state == PRESENCE_ABANDONED || is_alive(p, slot))
			return false;
	}
	/* D3: the kernel knows no locks in another file: there every process would be dead. */
	return presence_is_intact(p);
}

unsigned
presence_count(const struct presence *p)
{
	unsigned count = 0;
	int slot;

	assert(p->has_locks);
	for (slot = 0; slot < PRESENCE_SLOTS; slot++)
		count += is_alive(p, slot);
	return count;
}

bool
presence_has_others(const struct presence *p)
{
	int slot;

	assert(p->has_locks);
	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		if (slot != p->own && is_alive(p, slot))
			return true;
		if (slot == 0)
			testpoint_reach("presence: first slot looked at");
	}
	return !presence_is_intact(p);
}

unsigned
presence_count_waiters(const struct presence *p, uint32_t turn)
{
	unsigned count = 0;
	struct view v;
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		v = view(p, slot);
		if ((v.state == PRESENCE_CLAIMING ||
			(v.state == PRESENCE_WAITING && v.ticket != turn)) &&
		    (!p->has_locks || is_alive(p, slot)))
			count++;
	}
	return count;
}

bool
presence_has_waiter(const struct presence *p)
{
	enum presence_state state;
	int slot;

	for (slot = 0; slot < PRESENCE_SLOTS; slot++) {
		state = view(p, slot).state;
		if (slot != p->own && (state == PRESENCE_CLAIMING || state == PRESENCE_WAITING) &&
		    (!p->has_locks || is_alive(p, slot)))
			return true;
	}
	return false;
}
