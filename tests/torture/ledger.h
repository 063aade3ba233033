/*
 * ledger: what must be so, kept in memory that all processes of a run share and that no memory
 * file has anything to do with.
 *
 * A *book* (book.h) is about one life of one memory file.
 *
 * A *seat* is the place of a thread. A thread notes there what it calls, since when, and which
 * lock it holds; the next holder of the lock looks at the seats of all others.
 *
 * A process that is killed is *doomed* first, and one that closes all its descriptors is *void*
 * first: what their seats say then no longer counts, since others may get the lock. With leases a
 * writer's seat counts as long as the lease cannot be over, and a reader's does not: it may have
 * joined readers whose lease is older. All members are atomic; a process may die
 * between any two stores.
 */
#ifndef TESTS_TORTURE_LEDGER_H
#define TESTS_TORTURE_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/torture/book.h"
#include "tests/torture/round.h"

enum {
	LEDGER_PROCESSES = 48,
	LEDGER_BOOKS = 512,
	LEDGER_NAME_SIZE = 48,
	LEDGER_TEXT_SIZE = 512,
	LEDGER_DEEDS = 64, /* the last ones that are kept */
	LEDGER_DEED_SIZE = 96,
	LEDGER_IS_WRITTEN = 2,
	LEDGER_NO_CALLS = -1000,
	LEDGER_CROWD = 200 /* a descriptor that all players have, until their end */
};

/* What happened in all rounds, for the last line. */
enum ledger_count {
	LEDGER_WRITTEN,     /* sections that were committed */
	LEDGER_READ,        /* sections that read, or wrote nothing */
	LEDGER_NOT_GRANTED, /* EAGAIN and ETIMEDOUT, and EDEADLK of upgrades */
	LEDGER_INTERRUPTED, /* EINTR */
	LEDGER_UPGRADED,
	LEDGER_DOWNGRADED,
	LEDGER_LIVES,  /* of memory files */
	LEDGER_CLOSED, /* handles with which other threads waited */
	LEDGER_FORKS,
	LEDGER_VOID,     /* handles that a forked child could not use */
	LEDGER_KILLS,    /* processes killed by others, */
	LEDGER_SUICIDES, /* and by themselves, in a section */
	LEDGER_STOPS,    /* of processes and servers */
	LEDGER_RESTARTS,
	LEDGER_CUT, /* calls that found the server gone */
	LEDGER_LIES,
	LEDGER_FOUND,      /* calls that found a lie */
	LEDGER_FULL,       /* calls that found the disk full */
	LEDGER_TOGETHER,   /* sections that read beside another one */
	LEDGER_EXPIRED,    /* sections that were refused because the lease was over */
	LEDGER_LIMITED,    /* calls that found a limit of the process */
	LEDGER_CLOSED_ALL, /* processes that closed all descriptors, */
	LEDGER_BAD,        /* and calls that found one of theirs closed */
	LEDGER_COUNTS
};

enum ledger_state { LEDGER_FREE, LEDGER_RUNS, LEDGER_HAS_ENDED };

struct ledger_thread {
	_Atomic(const char *) call; /* the function that it is in; NULL: none */
	_Atomic uint64_t since;     /* when it called */
	_Atomic uint64_t asked;     /* when it called for the lock that it holds, or before */
	_Atomic uint64_t step;
	_Atomic unsigned inside; /* 0, or 2 * (1 + the book's number), + 1 with an exclusive lock */
};

struct ledger_process {
	_Atomic int state;
	_Atomic pid_t pid; /* 0: about to be forked */
	_Atomic bool is_doomed;
	_Atomic bool is_void;
	_Atomic int calls; /* threads in a call; LEDGER_NO_CALLS: none may begin */
	char name[LEDGER_NAME_SIZE];
	struct ledger_thread threads[ROUND_THREADS_MOST];
};

/* What the adversary began to do, and when. */
struct ledger_deed {
	uint64_t at;
	char text[LEDGER_DEED_SIZE];
};

struct ledger {
	bool holds;                  /* a process that complains stays */
	_Atomic unsigned round;      /* counts up */
	_Atomic bool is_over;        /* the round; players are to end */
	_Atomic bool is_planted;     /* the planted fault has happened, or there is none */
	_Atomic bool is_audited;     /* the auditor is to look at what there is */
	_Atomic bool is_watched;     /* the auditor has the files open */
	uint64_t lease;              /* of the server in this round, nanoseconds; 0: none */
	_Atomic uint64_t steps;      /* of all threads in this round */
	_Atomic unsigned generation; /* in the names of memory files: another one is another file */
	struct ledger_process processes[LEDGER_PROCESSES];
	struct book books[LEDGER_BOOKS];
	_Atomic uint64_t counts[LEDGER_COUNTS];
	struct ledger_deed
	    deeds[LEDGER_DEEDS]; /* of this round; only the adversary's process uses them */
	uint64_t deed_count;
	_Atomic int is_complained; /* LEDGER_IS_WRITTEN: the complaint is whole */
	uint64_t complained_at;
	char complaint[LEDGER_TEXT_SIZE];
};

/* A thread's place. */
struct ledger_seat {
	struct ledger *ledger;
	struct ledger_process *process;
	struct ledger_thread *thread;
};

/* Returns a ledger that processes forked later share; NULL without memory. */
struct ledger *ledger_create(void);

/* Begins a round: no process, no book. lease: nanoseconds, or 0. */
void ledger_begin(struct ledger *l, uint64_t lease);

/* A place for a process that is about to be forked; NULL when all are taken. */
struct ledger_process *ledger_admit(struct ledger *l, const char *name);

/* Records the first complaint, with the seat's name, and ends the process. */
void ledger_complain(const struct ledger_seat *s, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* The same, and goes on. */
void ledger_accuse(const struct ledger_seat *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same by the adversary. */
void ledger_note(struct ledger *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* By the adversary, before it does something: for the report of a fault. */
void ledger_announce(struct ledger *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes what was announced to standard error, with its time before the complaint. */
void ledger_show_deeds(const struct ledger *l);

/* Around each call of the library. Both leave errno. */
void ledger_call(const struct ledger_seat *s, const char *function);
void ledger_return(const struct ledger_seat *s);

/*
 * When no thread of the process is in a call: none begins one until the end. Returns false
 * otherwise. The caller is in no call.
 */
bool ledger_exclude_calls(const struct ledger_seat *s);
void ledger_admit_calls(const struct ledger_seat *s);

/* The book of that life of the file; a new one the first time. NULL when there are too many. */
struct book *ledger_book(struct ledger *l, unsigned file, uint64_t life);

/* Before the lock is asked for. */
void ledger_ask(const struct ledger_seat *s);

/* With the lock: notes it. False, with a sentence, if another thread that lives has it. */
bool ledger_enter(const struct ledger_seat *s, const struct book *b, bool is_exclusive,
    char text[BOOK_TEXT_SIZE]);

/* Before the lock is released. */
void ledger_leave(const struct ledger_seat *s);

/* Says on standard output that this thread does the planted fault now. */
void ledger_plant(const struct ledger_seat *s);

void ledger_add(struct ledger *l, enum ledger_count what);

#endif
