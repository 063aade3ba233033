#include "tests/torture/section.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/client/smclient.h"
#include "tests/stress/patience.h"
#include "tests/torture/finding.h"
#include "tests/torture/handles.h"
#include "tests/torture/request.h"

enum {
	BLOCKS_MOST = 4, /* written in most sections */
	INSIDE_MOST_US = 200
};

/* How a section that writes ends. */
enum ending { PUBLISHES, DIES_INSIDE, DIES_RELEASING, CLOSES_INSIDE };

/* What a section is to do, drawn as a whole. */
struct plan {
	struct request lock;
	bool upgrades; /* reads, and then writes after all, with the lock by */
	struct request upgrade;
	bool writes;
	bool downgrades; /* and reads on */
	enum ending ending;
	unsigned blocks; /* to write */
	uint64_t first;  /* of them; the others follow */
	bool names_all;  /* with sm_dirty(), where it need not */
	bool forks;
	uint64_t pause_us;
	uint64_t death_us; /* from before the release */
	uint64_t nonce;
};

static struct plan
draw_plan(struct actor *a)
{
	struct choice *c = &a->choice;
	bool reads = choice_happens(c, 30);
	struct plan p = { .lock = request_draw(a, reads, reads ? 70 : 50, reads ? 15 : 25) };
	uint64_t n;

	p.upgrades = choice_happens(c, 40) && reads;
	p.upgrade = request_draw(a, false, 50, 20);
	p.writes = choice_happens(c, 85) && (!reads || p.upgrades);
	p.downgrades = p.writes && choice_happens(c, 20);
	n = choice_draw(c, 1000);
	if (n < 2 && round_has_kills(a->round))
		p.ending = n == 0 ? DIES_INSIDE : DIES_RELEASING;
	else if (n < 8)
		p.ending = CLOSES_INSIDE;
	p.blocks = (unsigned)choice_draw(c, choice_happens(c, 5) ? 256 : BLOCKS_MOST + 1);
	p.first = choice_draw(c, UINT32_MAX);
	p.names_all = choice_happens(c, 20);
	p.forks = choice_draw(c, 1000) < 2;
	p.pause_us = choice_happens(c, reads ? 20 : 5) ? choice_draw(c, INSIDE_MOST_US) : 0;
	p.death_us = 1 + choice_draw(c, INSIDE_MOST_US);
	p.nonce = choice_branch(c->stream, c->step) | 1;
	return p;
}

/* Returns 0 or an errno; EBADF when another thread has closed the handle meanwhile. */
static int
call_lock(struct actor *a, struct handle *t, const struct request *q)
{
	int error;

	handles_wait(a, t);
	ledger_ask(&a->seat);
	error = request_call(a, t, q);
	return handles_waited(a, t) ? error : EBADF;
}

/* Returns 0 or an errno. */
static int
call_unlock(struct actor *a, struct handle *t)
{
	int error;

	ledger_call(&a->seat, "sm_unlock");
	error = sm_unlock(t->file) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	return error;
}

static void
name_written(struct actor *a, struct handle *t, size_t offset, size_t length)
{
	if (sm_dirty(t->file, offset, length) != 0)
		ledger_complain(&a->seat, "sm_dirty: %s", sm_error(NULL));
}

static void
write_section(struct actor *a, struct handle *t, const struct plan *p, uint8_t *segment,
    uint64_t number)
{
	uint32_t size = a->round->sizes[t->number], count = content_blocks(size), n;
	bool names = p->names_all || a->round->track[0] == 'h';
	struct content c = { atomic_load(&t->book->number), number, p->nonce };
	unsigned i;

	content_begin(segment, &c);
	for (i = 0; i < p->blocks && i < count; i++) {
		n = 1 + (uint32_t)((p->first + i) % count);
		content_write(segment, size, n, p->nonce);
		if (names)
			name_written(a, t, (size_t)n * SIZE_BLOCK, size_of_block(size, n));
	}
	if (names)
		name_written(a, t, 0, content_header_size(size));
}

/* From now on the process does not count. */
static void
doom(struct actor *a)
{
	atomic_store(&a->seat.process->is_doomed, true);
	ledger_add(a->seat.ledger, LEDGER_SUICIDES);
}

static void __attribute__((noreturn)) die(struct actor *a)
{
	doom(a);
	for (;;)
		raise(SIGKILL);
}

/* Has the kernel kill the process in so many microseconds, wherever it is then. */
static void
die_soon(struct actor *a, uint64_t us)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	const struct itimerspec when = { .it_value.tv_nsec = (long)us * 1000 };
	timer_t timer;

	doom(a);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &when, NULL) != 0)
		ledger_complain(&a->seat, "no timer: %s", strerror(errno));
}

/* The thread has claimed the handle: the lock goes with it, and so does what it has written. */
static void
spoil(struct actor *a, struct handle *t, const struct plan *p, uint8_t *segment)
{
	content_poison(segment, a->round->sizes[t->number]);
	if (p->ending == DIES_INSIDE)
		die(a);
	ledger_leave(&a->seat);
	handles_close(a, t);
}

/* Returns true when the handle is lost. */
static bool
leave(struct actor *a, struct handle *t)
{
	int error;

	ledger_leave(&a->seat);
	error = call_unlock(a, t);
	finding_leave(a, error);
	ledger_add(a->seat.ledger, LEDGER_READ);
	return error != 0 && actor_judge(a, ACTOR_UNLOCK, error, false);
}

/* Returns 0 or an errno. */
static int
call_downgrade(struct actor *a, struct handle *t)
{
	int error;

	book_keep(t->book);
	ledger_call(&a->seat, "sm_downgrade");
	error = sm_downgrade(t->file) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	return error;
}

/* The section is published, and the lock shared. Returns true when the handle is lost. */
static bool
read_on(struct actor *a, struct handle *t, const struct plan *p, const uint8_t *segment,
    uint64_t number)
{
	const struct content published = { atomic_load(&t->book->number), number, p->nonce };

	ledger_add(a->seat.ledger, LEDGER_DOWNGRADED);
	(void)finding_enter(a, t, segment, false, false);
	finding_stay(a, t, segment, &published);
	return leave(a, t);
}

/* The release of a section that has written. Returns true when the handle is lost. */
static bool
publish(struct actor *a, struct handle *t, const struct plan *p, const uint8_t *segment,
    uint64_t number, bool skips)
{
	bool downgrades = p->downgrades && !skips;
	int error;

	book_try(t->book, number, p->nonce);
	ledger_leave(&a->seat);
	if (p->ending == DIES_RELEASING)
		die_soon(a, p->death_us);
	error = skips ? 0 : downgrades ? call_downgrade(a, t) : call_unlock(a, t);
	finding_leave(a, error);
	if (error == 0) {
		finding_commit(a, t, number, p->nonce);
		ledger_add(a->seat.ledger, LEDGER_WRITTEN);
	}
	while (p->ending == DIES_RELEASING)
		pause();
	if (error == 0)
		return downgrades && read_on(a, t, p, segment, number);
	if (actor_is_refusal(a, error))
		book_refuse(t->book, number, p->nonce);
	return actor_judge(a, downgrades ? ACTOR_DOWNGRADE : ACTOR_UNLOCK, error, false);
}

/*
 * With the lock for reading: becomes the writer, or reads on. Nobody writes meanwhile. Returns
 * true when it has; *is_lost: the handle is.
 */
static bool
upgrade(struct actor *a, struct handle *t, const struct plan *p, const uint8_t *segment,
    const struct content *read, bool *is_lost)
{
	int error = request_call(a, t, &p->upgrade);

	if (error == 0) {
		ledger_add(a->seat.ledger, LEDGER_UPGRADED);
		(void)finding_enter(a, t, segment, true, false);
	} else if (error == EDEADLK) {
		ledger_add(a->seat.ledger, LEDGER_NOT_GRANTED);
	} else {
		*is_lost = request_judge(a, t, &p->upgrade, error);
	}
	finding_stay(a, t, segment, read);
	return error == 0;
}

/* With the lock exclusively: writes. Gives the handle back, or closes it. */
static void
write_and_end(struct actor *a, struct handle *t, const struct plan *p, uint8_t *segment,
    uint64_t number, bool skips)
{
	if ((p->ending == DIES_INSIDE || p->ending == CLOSES_INSIDE) &&
	    handles_claim(a, t, false)) {
		spoil(a, t, p, segment);
		return;
	}
	write_section(a, t, p, segment, number);
	handles_give(a, t, publish(a, t, p, segment, number, skips));
}

/*
 * With the lock. Gives the handle back, or closes it. The address stays the same meanwhile, but the
 * view shows none while another thread is told that it cannot unmap the segment.
 */
static void
work(struct actor *a, struct handle *t, const struct plan *p, bool skips)
{
	uint8_t *segment = view_segment(&t->view);
	struct content c = finding_enter(a, t, segment, !p->lock.reads, skips);
	bool is_lost = false, writes = p->writes && segment != NULL;

	if (p->pause_us != 0) {
		usleep((useconds_t)p->pause_us);
		finding_stay(a, t, segment, &c);
	}
	if (p->forks)
		a->fork(a, t);
	if (p->upgrades)
		writes &= upgrade(a, t, p, segment, &c, &is_lost);
	if (writes)
		write_and_end(a, t, p, segment, c.section + 1, skips);
	else
		handles_give(a, t, leave(a, t) || is_lost);
}

/*
 * From the planned step on the thread takes no lock. Once might be repaired: its next release would
 * publish what it wrote before.
 */
static bool
is_planted(struct actor *a, const struct handle *t, const struct plan *p)
{
	if (a->plant == 0 || a->choice.step < a->plant || !p->writes || p->upgrades ||
	    view_segment(&t->view) == NULL)
		return false;
	if (!atomic_load(&a->seat.ledger->is_planted))
		ledger_plant(&a->seat);
	return true;
}

void
section_play(struct actor *a, unsigned number)
{
	struct plan p = draw_plan(a);
	struct handle *t = handles_take(a, number, true);
	bool skips;
	int error;

	if (t == NULL)
		return;
	skips = is_planted(a, t, &p);
	error = skips ? 0 : call_lock(a, t, &p.lock);
	if (error == EBADF && t->is_closed)
		handles_give(a, t, false);
	else if (error != 0)
		handles_give(a, t, request_judge(a, t, &p.lock, error));
	else
		work(a, t, &p, skips);
}

void
section_audit(struct actor *a, struct handle *t)
{
	const struct request q = { .reads = true };
	int error = call_lock(a, t, &q);

	if (error != 0) {
		handles_give(a, t, actor_judge(a, ACTOR_LOCK, error, false));
		return;
	}
	(void)finding_enter(a, t, view_segment(&t->view), false, false);
	handles_give(a, t, leave(a, t));
}
