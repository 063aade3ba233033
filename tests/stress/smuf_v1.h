/*
 * smuf_v1: a client of smuf as the original was, version 1 (DESIGN 4.1): its lock is the ticket lock in the host's lock
 * file, mapped shared; its segment is one message of AES-256-GCM in the host's segment file, whose key, iv and tag
 * come with LOCK and go with UNLOCK. Plaintext over a unix socket.
 *
 * The steps of lock and unlock are told apart, for tests that stop a client between two of them. It calls nothing of
 * cmocka: it runs in forked children.
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
	uint32_t ticket;  /* of the lock that is held, or asked for */
};

/* Connects, opens the file and maps size bytes. Returns 0 or a negative errno (a status of the server's too). */
int smuf_v1_open(struct smuf_v1 *c, const struct daemon *d, const char *name, size_t size);

/* Hangs up. Also for one that is not open, all zeros. */
void smuf_v1_close(struct smuf_v1 *c);

/*
 * The steps of a lock: a ticket; the wait for its turn, until *stop is not 0 (-ECANCELED) or the deadline has come
 * (-ETIMEDOUT); the server's word, -EINVAL when it is not this one's turn, and the segment, opened: -EBADMSG.
 */
void smuf_v1_take_ticket(struct smuf_v1 *c);
int smuf_v1_wait_for_turn(const struct smuf_v1 *c, const _Atomic int *stop, uint64_t deadline);
int smuf_v1_ask(struct smuf_v1 *c);

/* The steps of an unlock: the segment, sealed with a fresh iv, to the host; the server; the file's turn. */
int smuf_v1_publish(struct smuf_v1 *c);
void smuf_v1_pass_on(struct smuf_v1 *c);

/* All of it; a turn that was refused is asked for again with another ticket, until the deadline. */
int smuf_v1_lock(struct smuf_v1 *c, uint64_t deadline);
int smuf_v1_unlock(struct smuf_v1 *c);

#endif
