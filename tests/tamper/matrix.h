/*
 * matrix: everything a host can do to the two files of a smuf memory file, generated from their
 * layout.
 *
 * The parts of the lock file are its fields and the bytes between them, those of the segment file
 * the slots of its blocks. The cases change each part in each way, cut the file at each boundary,
 * exchange each pair of slots, and replace each file as a whole by each thing that can be there
 * instead. No case is listed by hand: another field or block makes more cases.
 */
#ifndef TESTS_TAMPER_MATRIX_H
#define TESTS_TAMPER_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum matrix_file { MATRIX_LOCK, MATRIX_SEGMENT, MATRIX_FILES };

enum matrix_op {
	MATRIX_NOTHING, /* the control */

	/* A part, from and length. */
	MATRIX_FLIP,      /* bit number other (0 to 7) of the byte at from */
	MATRIX_ZERO,      /* all of it zeros */
	MATRIX_NOISE,     /* random bytes */
	MATRIX_YESTERDAY, /* its bytes from before the last releases */
	MATRIX_SWAP,      /* exchanges it with the part at other */

	/* The length of the file. */
	MATRIX_TRUNCATE, /* to from bytes */
	MATRIX_EXTEND,   /* by length bytes */

	/* The file as a whole: another file takes its name (is_renamed) or overwrites its bytes. */
	MATRIX_ROLLBACK, /* the file as it was at moment other */
	MATRIX_ANOTHERS, /* the same file of another memory file */
	MATRIX_UNLINK,
	MATRIX_LINK_ANOTHER, /* a symbolic link to another memory file's */
	MATRIX_LINK_NOWHERE,
	MATRIX_DIRECTORY,
	MATRIX_FIFO,
	MATRIX_FORBID, /* mode 000 */

	/* All the time, by another thread. */
	MATRIX_SHAKE_READERS, /* flips bits of a part while others read */
	MATRIX_SHAKE_SEALER,  /* while another seals */
	MATRIX_CUT_READERS,   /* cuts the file to nothing and extends it again */
	MATRIX_CUT_SEALER
};

/* Moments whose files are kept: before the first release, after the first, now. */
enum { MATRIX_EMPTY, MATRIX_FIRST, MATRIX_NOW, MATRIX_MOMENTS };

struct matrix_case {
	enum matrix_op op;
	enum matrix_file file;
	bool is_renamed;
	uint64_t from, length, other;
	char words[96]; /* the case, for people */
};

/* Generates the *count cases for a segment of that size; the caller frees them. */
struct matrix_case *matrix_generate(uint32_t segment_size, size_t *count);

/* True for cases that go on while clients read or seal. */
static inline bool
matrix_is_shaking(const struct matrix_case *c)
{
	return c->op >= MATRIX_SHAKE_READERS;
}

#endif
