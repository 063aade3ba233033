/*
 * adversary: the host, which does to the files of a memory file what a case of the matrix says, and afterwards puts
 * back the true bytes.
 *
 * It has the true files open all the time, and a second link to them outside of the memdir: whatever takes their
 * names, they can get them back.
 */
#ifndef TESTS_TAMPER_ADVERSARY_H
#define TESTS_TAMPER_ADVERSARY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/stress/daemon.h"
#include "tests/tamper/matrix.h"

enum { ADVERSARY_PATH_SIZE = DAEMON_PATH_SIZE + 32 };

struct adversary_file {
	char path[ADVERSARY_PATH_SIZE];
	char aside[ADVERSARY_PATH_SIZE];   /* the second link */
	char another[ADVERSARY_PATH_SIZE]; /* the same file of another memory file */
	int fd;                            /* of the true file */
	uint64_t size;
	uint8_t *past[MATRIX_MOMENTS]; /* its bytes at these moments */
};

struct adversary {
	struct adversary_file files[MATRIX_FILES];
	const struct matrix_case *shaken;
	pthread_t shaker;
	atomic_bool is_over;
	atomic_ulong shakes;
};

/* Opens the files of the memory file name of d, which has a segment; another's are used to replace them. */
void adversary_begin(struct adversary *a, const struct daemon *d, const char *name,
    const char *another);

/* Lets go of them. */
void adversary_end(struct adversary *a);

/* Keeps the bytes of both files as those of that moment. */
void adversary_look(struct adversary *a, unsigned moment);

/* Does what the case says, at once, or from now on until adversary_stop(). */
void adversary_tamper(struct adversary *a, const struct matrix_case *c);

/* A shaking one has done something since it began, and has ended. */
void adversary_stop(struct adversary *a);

/* Puts back names, lengths, modes and the bytes of MATRIX_NOW. */
void adversary_restore(struct adversary *a);

/*
 * What a client can read of the segment file: the true file, which it had open before; or, is_late, what it finds
 * under the name. Returns 0 or -EIO, if size bytes at offset cannot be had; for a late one also if the file is shorter
 * than it was, or no file.
 */
int adversary_read(const struct adversary *a, bool is_late, uint64_t offset, void *out,
    size_t size);

#endif
