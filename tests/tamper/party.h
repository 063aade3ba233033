/*
 * party: a client of a test, with a memory file that is tampered with and another one that has to go on working.
 *
 * What a party does fails the test when it does not work, except sm_map() and sm_lock() of the file that is tampered with.
 */
#ifndef TESTS_TAMPER_PARTY_H
#define TESTS_TAMPER_PARTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/stress/client.h"

#define PARTY_OTHER CLIENT_MOUNT "/other"

struct party {
	const char *words;
	struct sm *sm;
	struct sm_file *file; /* the one that is tampered with; NULL */
	uint8_t *map;         /* NULL: not mapped */
	uint8_t *before;      /* what the mapping was before the last lock */
	size_t size;
	struct sm_file *other;
	volatile uint64_t *count; /* in the other file, shared by all parties */
};

/* Sets up a client of d; its file will measure size bytes. */
void party_begin(struct party *p, const char *words, const struct daemon *d, size_t size);

void party_end(struct party *p);

/* Opens the file. */
void party_open(struct party *p, const char *path);

/* Maps it and writes what nobody published into the mapping. Returns 0 or a negative errno. */
int party_map(struct party *p);

/* Closes and unmaps it. */
void party_close(struct party *p);

/* Locks, for ten seconds at most. Returns 0, or a negative errno when the mapping is what it was: else the test fails. */
int party_lock(struct party *p, bool is_shared);

void party_unlock(struct party *p);

/* Locks, writes all of it, and unlocks. */
void party_publish(struct party *p, const uint8_t *bytes);

/* Opens path and publishes noise in it, once: from then on it is at rest. */
void party_rest(struct party *p, const char *path);

/* With the lock: fails the test unless it sees these bytes. */
void party_expect(const struct party *p, const uint8_t *bytes, const char *when);

/* The other file still works: it is what all parties have made of it, and one more. */
void party_serve_other(struct party *p);

/* size bytes that belong to that seed. */
void party_fill(uint8_t *bytes, size_t size, uint64_t seed);

#endif
