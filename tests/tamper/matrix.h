/*
 * matrix: everything a host can do to the two files of a smuf memory file, generated from their layout.
 *
 * The lock file is cut into its fields and what lies between them, the segment file into the slots of its blocks; each
 * part is changed in each way, each boundary is where the file ends, each pair of slots changes places, and each file as
 * a whole is replaced by each thing that can be there instead. Nothing here is listed by hand: a field or a
 * block more makes more cases.
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
	MATRIX_YESTERDAY, /* what was there before the last releases */
	MATRIX_SWAP,      /* changes places with the part at other */

	/* The length of the file. */
	MATRIX_TRUNCATE, /* to from bytes */
	MATRIX_EXTEND,   /* by length bytes */

	/* The file as a whole; is_renamed: another file takes its name, else its bytes are overwritten. */
	MATRIX_ROLLBACK, /* the file as it was at moment other */
	MATRIX_ANOTHERS, /* the same file of another memory file */
	MATRIX_UNLINK,
	MATRIX_LINK_ANOTHER, /* a symbolic link to another memory file's */
	MATRIX_LINK_NOWHERE,
	MATRIX_DIRECTORY,
	MATRIX_FIFO,
	MATRIX_FORBID, /* mode 000 */

	/* Again and again, by another thread, as long as it takes. */
	MATRIX_SHAKE_READERS, /* flips bits of a part while others read */
	MATRIX_SHAKE_SEALER,  /* while another seals */
	MATRIX_CUT_READERS,   /* cuts the file to nothing, and makes it long again */
	MATRIX_CUT_SEALER
};

/* Moments whose files are kept: before the first release, after the first, now. */
enum { MATRIX_EMPTY, MATRIX_FIRST, MATRIX_NOW, MATRIX_MOMENTS };

struct matrix_case {
	enum matrix_op op;
	enum matrix_file file;
	bool is_renamed;
	uint64_t from, length, other;
	char words[96]; /* what it is, for people */
};

/* The cases for a segment of so many bytes, to be freed; *count of them. */
struct matrix_case *matrix_generate(uint32_t segment_size, size_t *count);

/* True for what goes on while others read or seal. */
static inline bool
matrix_is_shaking(const struct matrix_case *c)
{
	return c->op >= MATRIX_SHAKE_READERS;
}

#endif
