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
ledger_begin(struct ledger *l, uint64_t lease)
{
	/* First: a process of the round before that has not begun yet ends. */
	atomic_fetch_add(&l->round, 1);
	atomic_store(&l->is_over, false);
	atomic_store(&l->is_audited, false);
	atomic_store(&l->is_watched, false);
	l->lease = lease;
	atomic_store(&l->steps, 0);
	atomic_store(&l->generation, 0);
	l->deed_count = 0;
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
		atomic_store(&p->calls, 0);
		atomic_store(&p->is_void, false);
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
	l->complained_at = clock_now();
	n = snprintf(l->complaint, sizeof l->complaint, "%s", who);
	vsnprintf(l->complaint + n, sizeof l->complaint - (size_t)n, format, args);
	atomic_store(&l->is_complained, LEDGER_IS_WRITTEN);
}

static void
record_of(const struct ledger_seat *s, const char *format, va_list args)
{
	char who[LEDGER_NAME_SIZE + 64];

	snprintf(who, sizeof who, "process %s%s, thread %d, step %lu: ", s->process->name,
	    atomic_load(&s->process->is_void) ? " (void)" : "",
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
ledger_announce(struct ledger *l, const char *format, ...)
{
	struct ledger_deed *d = &l->deeds[l->deed_count++ % LEDGER_DEEDS];
	va_list args;

	d->at = clock_now();
	va_start(args, format);
	vsnprintf(d->text, sizeof d->text, format, args);
	va_end(args);
}

void
ledger_show_deeds(const struct ledger *l)
{
	uint64_t i = l->deed_count > LEDGER_DEEDS ? l->deed_count - LEDGER_DEEDS : 0;

	for (; i < l->deed_count; i++) {
		const struct ledger_deed *d = &l->deeds[i % LEDGER_DEEDS];

		fprintf(stderr, "    %ld ms before it: %s\n",
		    (long)((int64_t)(l->complained_at - d->at) / (int64_t)CLOCK_MS), d->text);
	}
}

void
ledger_call(const struct ledger_seat *s, const char *function)
{
	_Atomic int *calls = &s->process->calls;
	int count = atomic_load(calls);

	while (count < 0 || !atomic_compare_exchange_weak(calls, &count, count + 1)) {
		if (count < 0)
			usleep(1);
		count = atomic_load(calls);
	}
	atomic_store(&s->thread->since, clock_now());
	atomic_store(&s->thread->call, function);
}

void
ledger_return(const struct ledger_seat *s)
{
	atomic_store(&s->thread->call, NULL);
	atomic_fetch_sub(&s->process->calls, 1);
}

bool
ledger_exclude_calls(const struct ledger_seat *s)
{
	int none = 0;

	return atomic_compare_exchange_strong(&s->process->calls, &none, LEDGER_NO_CALLS);
}

void
ledger_admit_calls(const struct ledger_seat *s)
{
	atomic_store(&s->process->calls, 0);
}

struct book *
ledger_book(struct ledger *l, unsigned file, uint64_t life)
{
	uint64_t number = book_number(file, life), known;
	unsigned i;

	for (i = 0; i < LEDGER_BOOKS; i++) {
		known = 0;
		if (atomic_compare_exchange_strong(&l->books[i].number, &known, number)) {
			ledger_add(l, LEDGER_LIVES);
			return &l->books[i];
		}
		if (known == number)
			return &l->books[i];
	}
	return NULL;
}

void
ledger_ask(const struct ledger_seat *s)
{
	atomic_store(&s->thread->asked, clock_now());
}

/* True when both seats hold the lock of one book, and one of them exclusively. */
static bool
is_conflict(unsigned a, unsigned b)
{
	return a >> 1 == b >> 1 && ((a | b) & 1) != 0;
}

/*
 * False when the process may have lost its lock, without having released it. A reader may have
 * joined others of its process, whose lease is older than its own wait.
 */
static bool
is_counting(const struct ledger *l, const struct ledger_process *p, const struct ledger_thread *t,
    unsigned inside)
{
	if (atomic_load(&p->is_doomed) || atomic_load(&p->is_void))
		return false;
	if (l->lease == 0)
		return true;
	return (inside & 1) != 0 && clock_now() - atomic_load(&t->asked) < l->lease;
}

static bool
is_alone(const struct ledger_seat *s, const struct ledger_process *p, unsigned mine,
    char text[BOOK_TEXT_SIZE])
{
	unsigned i, inside;

	for (i = 0; i < ROUND_THREADS_MOST; i++) {
		const struct ledger_thread *t = &p->threads[i];

		inside = atomic_load(&t->inside);
		if (t != s->thread && inside == mine && (mine & 1) == 0)
			ledger_add(s->ledger, LEDGER_TOGETHER);
		if (t == s->thread || !is_conflict(inside, mine) ||
		    !is_counting(s->ledger, p, t, inside))
			continue;
		/* A killed process's place may have become another's meanwhile. */
		inside = atomic_load(&t->inside);
		if (!is_conflict(inside, mine))
			continue;
		snprintf(text, BOOK_TEXT_SIZE,
		    "not exclusive: this thread got the lock %s while thread %u of process %s has it %s",
		    mine & 1 ? "exclusively" : "for reading", i, p->name,
		    inside & 1 ? "exclusively" : "for reading");
		return false;
	}
	return true;
}

bool
ledger_enter(const struct ledger_seat *s, const struct book *b, bool is_exclusive,
    char text[BOOK_TEXT_SIZE])
{
	unsigned mine = 2 * (unsigned)(b - s->ledger->books + 1) + is_exclusive, i;

	/* Each notes its lock first and looks then: of two, one at least sees the other. */
	atomic_store(&s->thread->inside, mine);
	for (i = 0; i < LEDGER_PROCESSES; i++)
		if (atomic_load(&s->ledger->processes[i].state) == LEDGER_RUNS &&
		    !is_alone(s, &s->ledger->processes[i], mine, text))
			return false;
	return true;
}

void
ledger_leave(const struct ledger_seat *s)
{
	atomic_store(&s->thread->inside, 0);
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
