/*
 * party: a client with a memory file that is tampered with, and another file that has to go on
 * working.
 *
 * Every error fails the test, except one of sm_map() or sm_lock() of the file that is tampered
 * with.
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
	struct sm_file *file; /* tampered with; NULL: not open */
	uint8_t *map;         /* NULL: not mapped */
	uint8_t *before;      /* the mapping's content before the last lock */
	size_t size;
	struct sm_file *other;
	volatile uint64_t *count; /* in the other file, shared by all parties */
};

/* Sets up a client of d; its file will have size bytes. */
void party_begin(struct party *p, const char *words, const struct daemon *d, size_t size);

void party_end(struct party *p);

/* Opens the file. */
void party_open(struct party *p, const char *path);

/* Maps the file and fills the mapping with unpublished bytes. Returns 0 or a negative errno. */
int party_map(struct party *p);

/* Unmaps and closes the file. */
void party_close(struct party *p);

/*
 * Locks, for ten seconds at most. Returns 0 or a negative errno; fails the test when an error has
 * changed the mapping.
 */
int party_lock(struct party *p, bool is_shared);

void party_unlock(struct party *p);

/* Locks, writes all bytes, and unlocks. */
void party_publish(struct party *p, const uint8_t *bytes);

/* Opens path and publishes noise in it once; the file does not change afterwards. */
void party_rest(struct party *p, const char *path);

/* With the lock: fails the test unless the mapping has these bytes. */
void party_expect(const struct party *p, const uint8_t *bytes, const char *when);

/* Checks that the other file still works: increments its counter, which all parties share. */
void party_serve_other(struct party *p);

/* Fills size bytes with noise that belongs to that seed. */
void party_fill(uint8_t *bytes, size_t size, uint64_t seed);

#endif
