/*
 * hostile: a host that tampers with a memory file's files all the time, in a thread, while clients
 * work.
 */
#ifndef TESTS_STRESS_HOSTILE_H
#define TESTS_STRESS_HOSTILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct daemon;

enum hostile_what {
	/* ticket and turn of the lock file: rewound, advanced, random, zero */
	HOSTILE_FORGES_TICKETS,
	/* bits of the segment file */
	HOSTILE_FLIPS_BITS
};

struct hostile {
	enum hostile_what what;
	int fd;
	uint8_t *map;
	uint64_t size; /* of the file */
	pthread_t thread;
	atomic_bool is_over;
	atomic_ulong deeds;
};

/* Starts on the files of the memory file name (without the /) of d. Fork before. */
void hostile_begin(struct hostile *h, enum hostile_what what, const struct daemon *d,
    const char *name);

/* Stops. Returns how often it tampered. */
unsigned long hostile_end(struct hostile *h);

#endif
