/*
 * model: what the clients of a case know: who holds which lock, and what each file may contain.
 *
 * Holdings. A client holds a lock from the moment when it reads the grant until it sends anything
 * that may end the grant. Between these two moments the server must grant the lock to nobody else
 * that conflicts. A client of a server that has closed the connection holds nothing either, but may
 * not have noticed: two holders that conflict are *disputed* until the connection of one of them
 * turns out to have ended, and a violation if that does not happen soon. A caller that sees a
 * dispute sends nothing until it is over.
 *
 * Contents. A file's content is one array of bytes: for smdish those of its segment, for smuf each
 * block's version, slot and tag, or a version 1 client's seal. A release is a *patch*: a few pieces
 * that are overwritten together. A client knows of a patch that it was accepted or refused, or
 * knows nothing: the connection ended. What a grant shows must be what the patches so far make,
 * each of them applied whole, or not at all. Then the uncertainty is over, and the content is the
 * base of the next ones.
 *
 * Only files that are open all the time have a model of their content.
 */
#ifndef TESTS_FAULTS_MODEL_H
#define TESTS_FAULTS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/faults/subject.h"

enum {
	MODEL_FILES = 7,
	MODEL_ANCHORED = 5, /* files that are open all the time; the others come and go */
	MODEL_BYTES = SUBJECT_SEGMENT_MOST,
	MODEL_PIECES = 3,
	MODEL_PIECE_BYTES = 64,
	MODEL_PATCHES = 8,
	MODEL_HOLDINGS = 64,
	MODEL_NAME_V1 = 3 /* the first of the files that belong to version 1 in smuf */
};

enum model_outcome { MODEL_UNKNOWN, MODEL_ACCEPTED, MODEL_REFUSED };

/* Overwrites length bytes at offset with bytes, over and over. */
struct model_piece {
	uint32_t offset, length;
	uint8_t bytes[MODEL_PIECE_BYTES];
};

struct model_patch {
	unsigned serial; /* 0: none */
	enum model_outcome outcome;
	unsigned count;
	struct model_piece pieces[MODEL_PIECES];
};

struct model_file {
	uint8_t base[MODEL_BYTES];
	struct model_patch patches[MODEL_PATCHES]; /* in the order in which they were sent */
	unsigned patch_count;
	uint32_t size;       /* of the segment, as far as the clients know */
	uint64_t last_grant; /* the highest that a holder was told */
};

struct model_holding {
	int peer; /* -1: unused */
	uint32_t fd;
	int file;
	uint8_t mode;   /* enum protocol_mode */
	uint64_t grant; /* version 2 */
	bool has_delta; /* the grant came with a segment */
	bool is_disputed;
};

struct model {
	struct model_file files[MODEL_FILES];
	struct model_holding holdings[MODEL_HOLDINGS];
	unsigned last_serial;
};

void model_init(struct model *m);

/* The name of a file. */
const char *model_name(int file);

/* Contents. */

void model_apply(uint8_t *content, const struct model_piece *piece);

/*
 * Adds a patch of that file, whose pieces the caller fills. NULL for a file without a model, or
 * with too many patches: the client must then publish nothing.
 */
struct model_patch *model_add_patch(struct model *m, int file);

/*
 * Records an outcome; does nothing once a grant has shown it. False when a patch was accepted that
 * must be refused.
 */
bool model_settle(struct model *m, int file, unsigned serial, bool is_accepted);

/* True when content is what the patches may make; it is then the base. */
bool model_check(struct model *m, int file, const uint8_t *content);

/* Holdings. */

/* Adds one. It is disputed, and so are those of others that it conflicts with. */
void model_hold(struct model *m, const struct model_holding *h);

/* The holding of a peer's descriptor, or of its file in version 1; NULL for none. */
struct model_holding *model_find_fd(struct model *m, int peer, uint32_t fd);
struct model_holding *model_find_file(struct model *m, int peer, int file);

/* Any holding of the peer, or NULL. */
struct model_holding *model_find_any(struct model *m, int peer);

/* A holding that is disputed, or NULL. */
struct model_holding *model_find_disputed(struct model *m);

void model_drop(struct model *m, struct model_holding *h);

/* Drops all holdings of a peer (-1: of all). */
void model_drop_all(struct model *m, int peer);

#endif
