/*
 * smuf_v1: a client of smuf that speaks version 1 as the original did (PROTOCOL 4). Its lock is the
 * ticket lock in the host's lock file, mapped shared. Its segment is one message of AES-256-GCM in
 * the host's segment file, whose key, iv and tag come with LOCK and go with UNLOCK. Plaintext over
 * a unix socket.
 *
 * The steps of lock and unlock are functions of their own, for tests that stop a client between two
 * of them. Nothing here calls cmocka: it runs in forked children.
 */
#ifndef TESTS_STRESS_SMUF_V1_H
#define TESTS_STRESS_SMUF_V1_H

#include <stddef.h>
#include <stdint.h>

struct daemon;

enum { SMUF_V1_IV_SIZE = 12, SMUF_V1_KEY_SIZE = 32, SMUF_V1_TAG_SIZE = 16 };

struct smuf_v1 {
	int socket;
	uint32_t fd;
	_Atomic uint32_t *untrusted_words; /* the lock file: ticket_number, turn */
	int segment_fd;
	uint8_t key[SMUF_V1_KEY_SIZE];
	size_t size;
	uint8_t *segment; /* plaintext, valid between lock and unlock */
	uint32_t ticket;  /* of the lock that is held, or waited for */
};

/*
 * Connects, opens the file and maps size bytes. Returns 0 or a negative errno, which may be a
 * status of the server.
 */
int smuf_v1_open(struct smuf_v1 *c, const struct daemon *d, const char *name, size_t size);

/* Disconnects. Does nothing with a client that is all zeros. */
void smuf_v1_close(struct smuf_v1 *c);

/*
 * The steps of a lock: take a ticket; wait for its turn, until *stop is not 0 (-ECANCELED) or the
 * deadline has passed (-ETIMEDOUT); ask the server (-EINVAL when it serves another turn) and open
 * the segment (-EBADMSG).
 */
void smuf_v1_take_ticket(struct smuf_v1 *c);
int smuf_v1_wait_for_turn(const struct smuf_v1 *c, const _Atomic int *stop, uint64_t deadline);
int smuf_v1_ask(struct smuf_v1 *c);

/*
 * The steps of an unlock: write the segment, sealed with a fresh iv, to the host and tell the
 * server; advance the turn in the file.
 */
int smuf_v1_publish(struct smuf_v1 *c);
void smuf_v1_pass_on(struct smuf_v1 *c);

/* All steps. A refused turn is followed by another ticket, until the deadline. */
int smuf_v1_lock(struct smuf_v1 *c, uint64_t deadline);
int smuf_v1_unlock(struct smuf_v1 *c);

#endif
