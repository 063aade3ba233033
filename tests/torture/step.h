/*
 * step: one step of a thread: a section, most often; or it opens, closes or maps a memory file,
 * asks for its state, forks, closes all descriptors, or rests.
 */
#ifndef TESTS_TORTURE_STEP_H
#define TESTS_TORTURE_STEP_H

struct actor;

/* Plays the step at which the actor's choice is. */
void step_play(struct actor *a);

#endif
