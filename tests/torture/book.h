/*
 * book: what one life of one memory file must be like. It has the number of the last section whose
 * sm_unlock() has returned 0, the latest sections that were tried, each with its nonce, written
 * before sm_unlock() is called, and the highest grants. So a holder of the lock knows what the
 * segment must hold: a section that was committed, or one after it whose process died, or lost its
 * server, within sm_unlock().
 *
 * Several processes may try a section of one number: those that were refused, that have lost their
 * lease or closed their descriptors, and one that has the lock. One of them is published at most.
 *
 * A function that finds something wrong returns false, with a sentence.
 */
#ifndef TESTS_TORTURE_BOOK_H
#define TESTS_TORTURE_BOOK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/torture/content.h"

enum {
	BOOK_RING = 16, /* numbers of sections that it remembers, */
	BOOK_WAYS = 32, /* and sections of one number */
	BOOK_TEXT_SIZE = 256
};

struct book_section {
	_Atomic uint64_t number;
	_Atomic uint64_t nonce;
	_Atomic int fate;
};

struct book {
	_Atomic uint64_t number; /* of file and life; 0: free */
	_Atomic uint64_t committed;
	_Atomic uint64_t highest;   /* grant */
	_Atomic uint64_t exclusive; /* the highest exclusive one */
	_Atomic uint64_t kept;      /* the highest that became a shared one */
	_Atomic unsigned tried[BOOK_RING];
	struct book_section ring[BOOK_RING][BOOK_WAYS];
};

/* Before sm_unlock(). */
void book_try(struct book *b, uint64_t section, uint64_t nonce);

/* It returned 0. */
bool book_commit(struct book *b, uint64_t section, uint64_t nonce, char text[BOOK_TEXT_SIZE]);

/* It said that nothing was published. */
void book_refuse(struct book *b, uint64_t section, uint64_t nonce);

/* With the lock: the segment holds this. may_be_old: without, as it was when it had the lock. */
bool book_check(struct book *b, const struct content *c, bool may_be_old,
    char text[BOOK_TEXT_SIZE]);

/* With the lock: sm_grant() has given a grant, and the life of a book of that number. */
bool book_grant(struct book *b, uint64_t number, uint64_t grant, bool is_exclusive,
    char text[BOOK_TEXT_SIZE]);

/* Before sm_downgrade(): readers go on with the latest exclusive grant. */
void book_keep(struct book *b);

/* The number of the book of that life of a file, which are at most three: lives are random. */
uint64_t book_number(unsigned file, uint64_t life);

#endif
