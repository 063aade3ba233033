/*
 * choice: what happens by chance, from one seed.
 *
 * Each actor (a thread of a player, the adversary) draws from a stream of its own, whose number
 * follows from the seed and from the actor's place: which player, which life, which thread. What
 * step n of a stream draws follows from the stream and n alone, not from what earlier steps drew
 * or from the other actors. So an actor of the same seed makes the same choice in the same step,
 * however the machine runs the processes this time.
 */
#ifndef TESTS_TORTURE_CHOICE_H
#define TESTS_TORTURE_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

struct choice {
	uint64_t stream;
	uint64_t step;
	uint64_t drawn; /* numbers that this step has drawn */
};

/* The stream's beginning, before step 0. */
struct choice choice_begin(uint64_t stream);

/* The number of a stream that belongs to the stream's owner: other numbers, other streams. */
uint64_t choice_branch(uint64_t stream, uint64_t number);

/* Begins the next step. */
void choice_next(struct choice *c);

/* A number from 0 to below - 1. */
uint64_t choice_draw(struct choice *c, uint64_t below);

/* True in so many of a hundred cases. */
bool choice_happens(struct choice *c, unsigned percent);

#endif
