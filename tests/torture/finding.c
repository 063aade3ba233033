#include "tests/torture/finding.h"

#include <errno.h>
#include <stdio.h>

#include "common/client/smclient.h"
#include "tests/torture/handles.h"

/* Wrong whether or not the thread has lost the lock. */
static void
complain(struct actor *a, const char *text)
{
	if (!atomic_load(&a->seat.process->is_void))
		ledger_complain(&a->seat, "%s", text);
}

/* Wrong if the thread has the lock. The first one counts. */
static void
note(struct actor *a, bool is_exclusive, const char *text)
{
	if (a->seat.ledger->lease == 0)
		complain(a, text);
	else if (is_exclusive && a->finding[0] == '\0')
		snprintf(a->finding, sizeof a->finding, "%s", text);
}

static void
check_grant(struct actor *a, struct handle *t, bool is_exclusive)
{
	char text[BOOK_TEXT_SIZE];
	uint64_t life, grant;
	int error;

	ledger_call(&a->seat, "sm_grant");
	error = sm_grant(t->file, &life, &grant) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	if (error != 0)
		(void)actor_judge(a, ACTOR_GRANT, error, false);
	else if (!book_grant(t->book, book_number(t->number, life), grant, is_exclusive, text))
		note(a, is_exclusive, text);
}

static struct content
check_segment(struct actor *a, struct handle *t, const uint8_t *segment, bool is_exclusive)
{
	bool is_old = !is_exclusive && a->seat.ledger->lease != 0;
	char text[CONTENT_TEXT_SIZE], reason[BOOK_TEXT_SIZE];
	struct content c = { 0, 0, 0 };

	if (!content_read(segment, a->round->sizes[t->number], &c, text))
		complain(a, text);
	else if (!book_check(t->book, &c, is_old, reason))
		note(a, is_exclusive, reason);
	return c;
}

struct content
finding_enter(struct actor *a, struct handle *t, const uint8_t *segment, bool is_exclusive,
    bool is_planted)
{
	char text[BOOK_TEXT_SIZE];

	a->finding[0] = '\0';
	if (round_is_blind(a->round))
		return (struct content){ 0, 0, 0 };
	if (!ledger_enter(&a->seat, t->book, is_exclusive, text))
		note(a, is_exclusive, text);
	if (!is_planted)
		check_grant(a, t, is_exclusive);
	if (segment == NULL)
		return (struct content){ 0, 0, 0 };
	return check_segment(a, t, segment, is_exclusive);
}

void
finding_stay(struct actor *a, const struct handle *t, const uint8_t *segment,
    const struct content *c)
{
	char text[CONTENT_TEXT_SIZE], all[LEDGER_TEXT_SIZE];
	struct content now = *c;

	if (segment == NULL || round_is_blind(a->round))
		return;
	if (!content_read(segment, a->round->sizes[t->number], &now, text)) {
		snprintf(all, sizeof all, "while the lock was held: %s", text);
		complain(a, all);
	} else if (now.section != c->section || now.nonce != c->nonce) {
		snprintf(all, sizeof all, "section %lu became %lu while the lock was held",
		    (unsigned long)c->section, (unsigned long)now.section);
		complain(a, all);
	}
}

void
finding_leave(struct actor *a, int error)
{
	if (error == 0 && a->finding[0] != '\0' && !atomic_load(&a->seat.process->is_void))
		ledger_complain(&a->seat, "%s", a->finding);
}

void
finding_commit(struct actor *a, struct handle *t, uint64_t section, uint64_t nonce)
{
	char text[BOOK_TEXT_SIZE];

	if (!round_is_blind(a->round) && !book_commit(t->book, section, nonce, text))
		ledger_complain(&a->seat, "%s", text);
}
