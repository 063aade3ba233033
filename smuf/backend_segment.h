/*
 * backend_segment: the segment file of a smuf memory file as a client has it: sealed blocks, the
 * key that every grant brings, and which slot of each block is current (smuf/FORMAT 3, smuf/FORMAT
 * 4).
 *
 * The file is opened by name in the mount's directory, and opened again once a block could not be
 * read or did not verify: another file may have the name by then.
 *
 * The host can write anything into the file. A block that it changed is -EBADMSG, a file that it
 * cut or removed -EIO, and no more.
 */
#ifndef SMUF_BACKEND_SEGMENT_H
#define SMUF_BACKEND_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/crypto/sealbox.h"
#include "common/host/slotfile.h"

struct dirty;
struct remotefile;

/* All zeros: not open. */
struct backend_segment {
	const struct remotefile *owner; /* for its mount and name */
	uint32_t size;                  /* of the segment, bytes */
	struct slotfile file;
	struct sealbox *box;
	uint8_t *slots;   /* the current one of each block, as of the replica's version */
	bool must_reopen; /* something was wrong with the file */
	unsigned epoch;   /* of the owner, at the last grant */
};

/* A block as a grant names it. */
struct backend_segment_block {
	uint32_t block;
	uint64_t version;
	uint8_t slot;
	const uint8_t *tag; /* SEALBOX_TAG_SIZE bytes */
};

/*
 * Whether the mount's directory is that of the server, which says that the memory file's life is
 * this one: in another server's directory a file of that name would be written over. The lock file
 * says whose it is; one that is gone, or forged, says nothing, which harms this client only.
 * Returns 0, or -EIO with a message.
 */
int backend_segment_check_life(const struct remotefile *owner, uint64_t life);

/*
 * Opens the segment file of owner's segment of size bytes, with all the memory that critical
 * sections need; s is not open. Returns 0; -EIO (there is no file, or it is too short, or cannot be
 * opened); -ENOTSUP (a library OS gives private copies); -EMFILE, -ENFILE; -ENOMEM; with a message
 * but for the last.
 */
int backend_segment_open(struct backend_segment *s, const struct remotefile *owner, uint32_t size);

/* Closes and wipes. Also for one that is not open. */
void backend_segment_close(struct backend_segment *s);

/*
 * A grant comes with that key. is_whole: it names every block that was ever published. Opens the
 * file again if something was wrong with it, or if a forked child has lost it. Returns 0 or see
 * backend_segment_open().
 *
 * When this or a block of the grant fails, some slots may be those of the grant already: the
 * replica has to be made void, so that a whole grant comes before the next release.
 */
int backend_segment_begin_grant(struct backend_segment *s, const uint8_t key[SEALBOX_KEY_SIZE],
    bool is_whole);

/*
 * Blocks of the grant are going to be read. Returns 0, or -EBADF with a message: the program has
 * closed the descriptor; the next grant opens the file again.
 */
int backend_segment_begin_reading(struct backend_segment *s);

/*
 * Copies a block of the grant in, verifies it and puts its plaintext at out. Its slot is the
 * current one then. Returns 0, -EBADMSG (it is not what was published) or -EIO, with a message.
 */
int backend_segment_open_block(struct backend_segment *s, const struct backend_segment_block *b,
    uint8_t *out);

/* A release begins. Returns 0 or, with a message, see slotfile_check(). */
int backend_segment_begin_release(struct backend_segment *s);

/*
 * Seals plain, the bytes of a block, under grant into the slot that is not current. *slot and tag
 * say what the server has to know. Returns 0; -ESTALE when that block was sealed under that grant
 * before; or, with a message, see hostfile_write().
 */
int backend_segment_seal_block(struct backend_segment *s, uint64_t grant, uint32_t block,
    const uint8_t *plain, uint8_t *slot, uint8_t tag[SEALBOX_TAG_SIZE]);

/* Writes all that were sealed. Returns 0 or, with a message, see hostfile_write(). */
int backend_segment_end_release(struct backend_segment *s);

/*
 * The release that names the sealed blocks of d is being sent: their slots are current from now on.
 */
void backend_segment_switch_slots(struct backend_segment *s, const struct dirty *d);

#endif
