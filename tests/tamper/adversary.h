/*
 * adversary: the host, which tampers with the files of a memory file as a case of the matrix says,
 * and afterwards restores the true bytes.
 *
 * It keeps the true files open, with a second link outside of the memdir: it can restore them,
 * whatever takes their names.
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

/*
 * Opens the files of the memory file name of d, which has a segment; those of another replace them.
 */
void adversary_begin(struct adversary *a, const struct daemon *d, const char *name,
    const char *another);

/* Closes the files. */
void adversary_end(struct adversary *a);

/* Keeps the bytes of both files as those of that moment. */
void adversary_look(struct adversary *a, unsigned moment);

/* Tampers as the case says, at once, or from now on until adversary_stop(). */
void adversary_tamper(struct adversary *a, const struct matrix_case *c);

/* Ends the thread of a shaking case, which has tampered at least once. */
void adversary_stop(struct adversary *a);

/* Restores names, lengths, modes and the bytes of MATRIX_NOW. */
void adversary_restore(struct adversary *a);

/*
 * Reads what a client can read of the segment file: of the true file, which it opened before; or,
 * with is_late, of the file under the name. Returns 0, or -EIO when there are no size bytes at
 * offset; with is_late also when the file is shorter than it was, or no regular file.
 */
int adversary_read(const struct adversary *a, bool is_late, uint64_t offset, void *out,
    size_t size);

#endif
