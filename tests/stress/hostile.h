/*
 * hostile: a host that does something to a memory file's files all the time, in a thread, while clients work.
 */
#ifndef TESTS_STRESS_HOSTILE_H
#define TESTS_STRESS_HOSTILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct daemon;

enum hostile_what {
	HOSTILE_FORGES_TICKETS, /* ticket and turn of the lock file: rewound, run ahead, random, zero */
	HOSTILE_FLIPS_BITS      /* of the segment file */
};

struct hostile {
	enum hostile_what what;
	int fd;
	uint8_t *map;
	uint64_t size; /* of that file */
	pthread_t thread;
	atomic_bool is_over;
	atomic_ulong deeds;
};

/* Begins with the files of the memory file name (without the /) of d. Fork before. */
void hostile_begin(struct hostile *h, enum hostile_what what, const struct daemon *d,
    const char *name);

/* Ends it; how much it has done. */
unsigned long hostile_end(struct hostile *h);

#endif
