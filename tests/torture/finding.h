/*
 * finding: what a thread with the lock finds: whether it is alone, what the segment holds, which
 * grant it has.
 *
 * Something wrong is a complaint at once. Where the server has leases, the thread may have lost
 * the lock meanwhile. So what a lock excludes is a complaint only when sm_unlock() has said that
 * the thread had it until then, exclusively: of the readers in a process, which share a lock of the
 * server, only the last one learns it. What is wrong in the segment itself, or changes in it, is
 * one always. Where the process has closed all its descriptors nothing is: with the connection the
 * lock ends, too.
 */
#ifndef TESTS_TORTURE_FINDING_H
#define TESTS_TORTURE_FINDING_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/torture/content.h"

struct actor;
struct handle;

/*
 * With the lock, exclusively or for reading; is_planted: without it. segment: NULL, or the mapping.
 * Returns what it holds.
 */
struct content finding_enter(struct actor *a, struct handle *t, const uint8_t *segment,
    bool is_exclusive, bool is_planted);

/* Later, with the same lock. */
void finding_stay(struct actor *a, const struct handle *t, const uint8_t *segment,
    const struct content *c);

/* After sm_unlock(); error is 0 or its errno. */
void finding_leave(struct actor *a, int error);

/* The section with that number and nonce has been published. */
void finding_commit(struct actor *a, struct handle *t, uint64_t section, uint64_t nonce);

#endif
