#include "tests/torture/ledger.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/clock.h"

struct ledger *
ledger_create(void)
{
	void *l = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return l == MAP_FAILED ? NULL : l;
}

void
ledger_begin(struct ledger *l)
{
	/* First: a process of the round before that has not begun yet ends. */
	atomic_fetch_add(&l->round, 1);
	atomic_store(&l->is_over, false);
	atomic_store(&l->is_audited, false);
	atomic_store(&l->is_watched, false);
	atomic_store(&l->steps, 0);
	atomic_store(&l->generation, 0);
	memset(l->processes, 0, sizeof l->processes);
	memset(l->books, 0, sizeof l->books);
}

struct ledger_process *
ledger_admit(struct ledger *l, const char *name)
{
	unsigned i;
	int free;

	for (i = 0; i < LEDGER_PROCESSES; i++) {
		struct ledger_process *p = &l->processes[i];

		free = LEDGER_FREE;
		if (!atomic_compare_exchange_strong(&p->state, &free, LEDGER_RUNS))
			continue;
		memset(p->threads, 0, sizeof p->threads);
		/* Last: a thread that finds the process not doomed then finds its own locks. */
		atomic_store(&p->is_doomed, false);
		snprintf(p->name, sizeof p->name, "%s", name);
		return p;
	}
	return NULL;
}

static void
record(struct ledger *l, const char *who, const char *format, va_list args)
{
	int n;

	if (atomic_exchange(&l->is_complained, 1) != 0)
		return;
	n = snprintf(l->complaint, sizeof l->complaint, "%s", who);
	vsnprintf(l->complaint + n, sizeof l->complaint - (size_t)n, format, args);
	atomic_store(&l->is_complained, LEDGER_IS_WRITTEN);
}

static void
record_of(const struct ledger_seat *s, const char *format, va_list args)
{
	char who[LEDGER_NAME_SIZE + 64];

	snprintf(who, sizeof who, "process %s, thread %d, step %lu: ", s->process->name,
	    (int)(s->thread - s->process->threads), (unsigned long)atomic_load(&s->thread->step));
	record(s->ledger, who, format, args);
}

void
ledger_complain(const struct ledger_seat *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	record_of(s, format, args);
	va_end(args);
	while (s->ledger->holds)
		pause();
	_exit(EXIT_FAILURE);
}

void
ledger_accuse(const struct ledger_seat *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	record_of(s, format, args);
	va_end(args);
}

void
ledger_note(struct ledger *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	record(l, "", format, args);
	va_end(args);
}

void
ledger_call(const struct ledger_seat *s, const char *function)
{
	atomic_store(&s->thread->since, clock_now());
	atomic_store(&s->thread->call, function);
}

void
ledger_return(const struct ledger_seat *s)
{
	atomic_store(&s->thread->call, NULL);
}

struct ledger_book *
ledger_book(struct ledger *l, unsigned file, uint64_t life)
{
	uint64_t known;
	unsigned i;

	/* File and life are one number: lives are random. */
	life = (life & ~UINT64_C(3)) + file + 1;
	for (i = 0; i < LEDGER_BOOKS; i++) {
		known = 0;
		if (atomic_compare_exchange_strong(&l->books[i].life, &known, life)) {
			ledger_add(l, LEDGER_LIVES);
			return &l->books[i];
		}
		if (known == life)
			return &l->books[i];
	}
	return NULL;
}

/* True when both seats hold the lock of one book, and one of them exclusively. */
static bool
is_conflict(unsigned a, unsigned b)
{
	return a >> 1 == b >> 1 && ((a | b) & 1) != 0;
}

static void
expect_alone(const struct ledger_seat *s, const struct ledger_process *p, unsigned mine)
{
	unsigned i, inside;

	for (i = 0; i < ROUND_THREADS_MOST; i++) {
		if (&p->threads[i] == s->thread ||
		    !is_conflict(atomic_load(&p->threads[i].inside), mine) ||
		    atomic_load(&p->is_doomed))
			continue;
		/* A killed process's place may have become another's meanwhile. */
		inside = atomic_load(&p->threads[i].inside);
		if (!is_conflict(inside, mine))
			continue;
		ledger_complain(s,
		    "not exclusive: this thread got the lock %s while thread %u of process %s "
		    "has it %s",
		    mine & 1 ? "exclusively" : "for reading", i, p->name,
		    inside & 1 ? "exclusively" : "for reading");
	}
}

void
ledger_enter(const struct ledger_seat *s, const struct ledger_book *b, bool is_exclusive)
{
	unsigned mine = 2 * (unsigned)(b - s->ledger->books + 1) + is_exclusive, i;

	/* Each notes its lock first and looks then: of two, one at least sees the other. */
	atomic_store(&s->thread->inside, mine);
	for (i = 0; i < LEDGER_PROCESSES; i++)
		if (atomic_load(&s->ledger->processes[i].state) == LEDGER_RUNS)
			expect_alone(s, &s->ledger->processes[i], mine);
}

void
ledger_leave(const struct ledger_seat *s)
{
	atomic_store(&s->thread->inside, 0);
}

static struct ledger_section *
section_of(struct ledger_book *b, uint64_t section)
{
	return &b->ring[section % LEDGER_RING];
}

/* The section was tried, as this one, and not refused. */
static void
expect_known(const struct ledger_seat *s, struct ledger_book *b, const struct content *c)
{
	const struct ledger_section *known = section_of(b, c->section);

	if (atomic_load(&known->number) != c->section || atomic_load(&known->nonce) != c->nonce)
		ledger_complain(s,
		    "the segment holds section %lu, nonce %lx, which nobody published; the ledger has "
		    "section %lu, nonce %lx there",
		    (unsigned long)c->section, (unsigned long)c->nonce,
		    (unsigned long)atomic_load(&known->number),
		    (unsigned long)atomic_load(&known->nonce));
	if (atomic_load(&known->refused) == c->nonce)
		ledger_complain(s, "section %lu was refused, and is published",
		    (unsigned long)c->section);
}

void
ledger_check(const struct ledger_seat *s, struct ledger_book *b, const struct content *c)
{
	uint64_t committed = atomic_load(&b->committed);

	if (c->section < committed)
		ledger_complain(s, "lost: section %lu was committed, and the segment holds %lu",
		    (unsigned long)committed, (unsigned long)c->section);
	if (c->section == 0 && c->life == 0 && c->nonce == 0)
		return;
	if (c->life != atomic_load(&b->life))
		ledger_complain(s, "the segment is that of life %lx, not of %lx",
		    (unsigned long)c->life, (unsigned long)atomic_load(&b->life));
	expect_known(s, b, c);
	/* Whether or not its process lives: now it must not get lost. */
	ledger_commit(b, c->section);
}

void
ledger_try(struct ledger_book *b, uint64_t section, uint64_t nonce)
{
	struct ledger_section *known = section_of(b, section);

	atomic_store(&known->nonce, nonce);
	atomic_store(&known->number, section);
}

void
ledger_commit(struct ledger_book *b, uint64_t section)
{
	uint64_t committed = atomic_load(&b->committed);

	while (committed < section &&
	    !atomic_compare_exchange_strong(&b->committed, &committed, section))
		;
}

void
ledger_refuse(struct ledger_book *b, uint64_t section, uint64_t nonce)
{
	atomic_store(&section_of(b, section)->refused, nonce);
}

void
ledger_add(struct ledger *l, enum ledger_count what)
{
	atomic_fetch_add(&l->counts[what], 1);
}

void
ledger_plant(const struct ledger_seat *s)
{
	dprintf(STDOUT_FILENO, "planted: process %s, thread %d takes no lock from step %lu on\n",
	    s->process->name, (int)(s->thread - s->process->threads),
	    (unsigned long)atomic_load(&s->thread->step));
	atomic_store(&s->ledger->is_planted, true);
}
