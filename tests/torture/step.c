#include "tests/torture/step.h"

#include <errno.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/torture/handles.h"
#include "tests/torture/own.h"
#include "tests/torture/section.h"

/* Of a thousand steps; the others are sections. */
enum {
	FORKS_REMOTE = 10,
	FORKS_LOCAL = 2, /* steps of smc take less time */
	CLOSES = 15,
	MAPS = 10,
	ASKS = 20,
	RESTS = 30,
	REST_MOST_US = 500
};

/* In one of so many steps. */
enum { CLOSES_ALL_REMOTE = 5000, CLOSES_ALL_LOCAL = 30 * 1000, CHECKS_OWN = 50 };

/* Also while other threads wait for the lock with that handle. */
static void
close_one(struct actor *a, unsigned number)
{
	struct handle *t = handles_take(a, number, false);

	if (t == NULL)
		return;
	if (handles_claim(a, t, true))
		handles_close(a, t);
	else
		handles_give(a, t, false);
}

static void
map_one(struct actor *a, unsigned number)
{
	struct handle *t = handles_take(a, number, false);

	if (t != NULL)
		handles_give(a, t, view_get_again(a, &a->handles->views, &t->view));
}

/* What the state must say of an open memory file. */
static void
judge_state(struct actor *a, const struct handle *t, const struct sm_stat *st)
{
	if (round_is_blind(a->round))
		return;
	if (ledger_book(a->seat.ledger, t->number, st->life) != t->book)
		ledger_complain(&a->seat, "an open handle is of another life now");
	if (view_segment(&t->view) != NULL && st->size != a->round->sizes[t->number])
		ledger_complain(&a->seat, "a segment of %u bytes has %lu",
		    a->round->sizes[t->number], (unsigned long)st->size);
	if (st->open_count == 0)
		ledger_complain(&a->seat, "the file is open, and nobody has it open");
}

static void
ask_one(struct actor *a, unsigned number)
{
	struct handle *t = handles_take(a, number, false);
	struct sm_stat st;
	int error;

	if (t == NULL)
		return;
	ledger_call(&a->seat, "sm_stat");
	error = sm_stat(t->file, &st) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	if (error == 0)
		judge_state(a, t, &st);
	handles_give(a, t, error != 0 && actor_judge(a, ACTOR_STAT, error, t->view.is_inherited));
}

void
step_play(struct actor *a)
{
	unsigned number = (unsigned)choice_draw(&a->choice, a->round->files);
	unsigned forks = a->round->kind == ROUND_SMC ? FORKS_LOCAL : FORKS_REMOTE;
	unsigned n = (unsigned)choice_draw(&a->choice, 1000);
	unsigned all = a->round->kind == ROUND_SMC ? CLOSES_ALL_LOCAL : CLOSES_ALL_REMOTE;
	bool closes_all = choice_draw(&a->choice, all) == 0;
	bool checks = choice_draw(&a->choice, CHECKS_OWN) == 0;

	if (checks)
		own_check(a);
	if (closes_all && round_has_kills(a->round) && !atomic_load(&a->seat.process->is_void))
		own_close_all(a);
	if (n < forks)
		a->fork(a, NULL);
	else if ((n -= forks) < CLOSES)
		close_one(a, number);
	else if ((n -= CLOSES) < MAPS)
		map_one(a, number);
	else if ((n -= MAPS) < ASKS)
		ask_one(a, number);
	else if ((n -= ASKS) < RESTS)
		usleep((useconds_t)choice_draw(&a->choice, REST_MOST_US));
	else
		section_play(a, number);
}
