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

enum {
	TIMED_MOST_MS = 5,
	LATE_MS = 5 *
	    1000,        /* later than its deadline no timed call returns; processes get stopped */
	BLOCKS_MOST = 4, /* written in most sections */
	INSIDE_MOST_US = 200
};

enum way { WAITS, TRIES, WAITS_FOR_A_TIME, READS, WAYS };

/* How a section that writes ends. */
enum ending { PUBLISHES, DIES_INSIDE, DIES_RELEASING, CLOSES_INSIDE };

/* What a section is to do, drawn as a whole. */
struct plan {
	enum way way;
	uint64_t limit_ms;
	bool writes;
	enum ending ending;
	unsigned blocks; /* to write */
	uint64_t first;  /* of them; the others follow */
	bool names_all;  /* with sm_dirty(), where it need not */
	bool forks;
	uint64_t pause_us;
	uint64_t death_us; /* from before the release */
	uint64_t nonce;
};

static enum way
draw_way(struct actor *a)
{
	unsigned n = (unsigned)choice_draw(&a->choice, 10);
	enum way way = n < 4 ? WAITS : n < 6 ? TRIES : n < 8 ? WAITS_FOR_A_TIME : READS;

	/* Where the host may take the lock away for ever, wait for a time only. */
	if (round_is_blind(a->round) && (way == WAITS || way == READS))
		return WAITS_FOR_A_TIME;
	return way;
}

static struct plan
draw_plan(struct actor *a)
{
	struct choice *c = &a->choice;
	struct plan p = { .way = draw_way(a) };
	uint64_t n;

	p.limit_ms = choice_draw(c, TIMED_MOST_MS + 1);
	p.writes = choice_happens(c, 85) && p.way != READS;
	n = choice_draw(c, 1000);
	if (n < 2 && round_has_kills(a->round))
		p.ending = n == 0 ? DIES_INSIDE : DIES_RELEASING;
	else if (n < 8)
		p.ending = CLOSES_INSIDE;
	p.blocks = (unsigned)choice_draw(c, choice_happens(c, 5) ? 256 : BLOCKS_MOST + 1);
	p.first = choice_draw(c, UINT32_MAX);
	p.names_all = choice_happens(c, 20);
	p.forks = choice_draw(c, 1000) < 2;
	p.pause_us = choice_happens(c, p.way == READS ? 20 : 5) ? choice_draw(c, INSIDE_MOST_US) :
								  0;
	p.death_us = 1 + choice_draw(c, INSIDE_MOST_US);
	p.nonce = choice_branch(c->stream, c->step) | 1;
	return p;
}

static void
expect_in_time(const struct actor *a, uint64_t begun, uint64_t limit_ms)
{
	uint64_t took = clock_now() - begun;

	if (patience_is_over(took, limit_ms + LATE_MS))
		ledger_complain(&a->seat, "a lock with a limit of %lu ms was refused after %lu ms",
		    (unsigned long)limit_ms, (unsigned long)(took / CLOCK_MS));
}

static int
call_function(struct handle *t, const struct plan *p, uint64_t now)
{
	struct timespec limit = clock_timespec(clock_after_ms(now, p->limit_ms));

	switch (p->way) {
	case WAITS:
		return sm_lock(t->file);
	case TRIES:
		return sm_trylock(t->file);
	case WAITS_FOR_A_TIME:
		return sm_timedlock(t->file, &limit);
	default:
		return sm_rdlock(t->file);
	}
}

/* Returns 0 or an errno; EBADF when another thread has closed the handle meanwhile. */
static int
call_lock(struct actor *a, struct handle *t, const struct plan *p)
{
	static const char *const names[WAYS] = { "sm_lock", "sm_trylock", "sm_timedlock",
		"sm_rdlock" };
	uint64_t begun = clock_now();
	int error;

	handles_wait(a, t);
	ledger_ask(&a->seat);
	ledger_call(&a->seat, names[p->way]);
	error = call_function(t, p, begun) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	if (!handles_waited(a, t))
		return EBADF;
	if (error != 0 && (p->way == TRIES || p->way == WAITS_FOR_A_TIME))
		expect_in_time(a, begun, p->way == TRIES ? CLOCK_SEC / CLOCK_MS : p->limit_ms);
	return error;
}

static enum actor_call
judged_as(enum way way)
{
	return way == TRIES         ? ACTOR_TRYLOCK :
	    way == WAITS_FOR_A_TIME ? ACTOR_TIMEDLOCK :
				      ACTOR_LOCK;
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

/* The release of a section that has written. Returns true when the handle is lost. */
static bool
publish(struct actor *a, struct handle *t, const struct plan *p, uint64_t number, bool skips)
{
	int error;

	book_try(t->book, number, p->nonce);
	ledger_leave(&a->seat);
	if (p->ending == DIES_RELEASING)
		die_soon(a, p->death_us);
	error = skips ? 0 : call_unlock(a, t);
	finding_leave(a, error);
	if (error == 0) {
		finding_commit(a, t, number, p->nonce);
		ledger_add(a->seat.ledger, LEDGER_WRITTEN);
	}
	while (p->ending == DIES_RELEASING)
		pause();
	if (error == 0)
		return false;
	if (actor_is_refusal(a, error))
		book_refuse(t->book, number, p->nonce);
	return actor_judge(a, ACTOR_UNLOCK, error, false);
}

/* With the lock. Gives the handle back, or closes it. */
static void
work(struct actor *a, struct handle *t, const struct plan *p, bool skips)
{
	uint8_t *segment = view_segment(&t->view);
	struct content c = finding_enter(a, t, segment, p->way != READS, skips);

	if (p->pause_us != 0) {
		usleep((useconds_t)p->pause_us);
		finding_stay(a, t, segment, &c);
	}
	if (p->forks)
		a->fork(a, t);
	if (segment == NULL || !p->writes) {
		handles_give(a, t, leave(a, t));
	} else if ((p->ending == DIES_INSIDE || p->ending == CLOSES_INSIDE) &&
	    handles_claim(a, t, false)) {
		spoil(a, t, p, segment);
	} else {
		write_section(a, t, p, segment, c.section + 1);
		handles_give(a, t, publish(a, t, p, c.section + 1, skips));
	}
}

/*
 * From the planned step on the thread takes no lock. Once might be repaired: its next release would
 * publish what it wrote before.
 */
static bool
is_planted(struct actor *a, const struct handle *t, const struct plan *p)
{
	if (a->plant == 0 || a->choice.step < a->plant || !p->writes ||
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
	struct handle *t = handles_take(a, number);
	bool skips;
	int error;

	if (t == NULL)
		return;
	skips = is_planted(a, t, &p);
	error = skips ? 0 : call_lock(a, t, &p);
	if (error == EBADF && t->is_closed)
		handles_give(a, t, false);
	else if (error != 0)
		handles_give(a, t, actor_judge(a, judged_as(p.way), error, t->view.is_inherited));
	else
		work(a, t, &p, skips);
}

void
section_audit(struct actor *a, struct handle *t)
{
	struct plan p = { .way = READS };
	int error = call_lock(a, t, &p);

	if (error != 0) {
		handles_give(a, t, actor_judge(a, ACTOR_LOCK, error, false));
		return;
	}
	(void)finding_enter(a, t, view_segment(&t->view), false, false);
	handles_give(a, t, leave(a, t));
}
