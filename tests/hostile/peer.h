/*
 * peer: an attacker's sessions of version 2: many requests at once, large bodies, replies that are
 * read fast, slowly or never.
 *
 * A peer is a struct raw with a table. Nothing here waits for the server without a limit, but the
 * limits are those of raw.h: an attack that a server slows down must not fail for that reason, so
 * an attack sends with peer_send() and ends when the rig ends it. The functions that fail the test
 * are for the process of an attack, where a failure ends that process.
 */
#ifndef TESTS_HOSTILE_PEER_H
#define TESTS_HOSTILE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/delta.h"
#include "tests/stress/raw.h"

struct daemon;
struct rig;

/*
 * Connects with the attackers' certificate, and says HELLO 2 and NEW_FDTABLE. Returns false, with r
 * closed, when the server ends the connection instead.
 */
bool peer_try(struct raw *r, const struct rig *rig);

/* The same; fails the test when the server refuses. */
void peer_connect(struct raw *r, const struct rig *rig);

/* The same without HELLO: a session of version 1. */
void peer_connect_v1(struct raw *r, const struct rig *rig);

/*
 * Takes what has come off the socket and throws it away, undeciphered, which is faster than any
 * client can read. No reply can be read from r afterwards. Returns the number of bytes.
 */
size_t peer_shed(struct raw *r);

/* Sends what needs no waiting of b, takes it out, and sheds replies. Returns the bytes of both. */
size_t peer_exchange(struct raw *r, struct buf *b);

/*
 * Sends all of b and sheds replies meanwhile, until the clock's moment until; empties b. Returns
 * false when the moment has come or the connection has ended.
 */
bool peer_send(struct raw *r, struct buf *b, uint64_t until);

/*
 * Sends all of b, empties b, and reads that many replies meanwhile. Returns how many of them have a
 * status other than 0; fails the test when the connection ends.
 */
size_t peer_ask(struct raw *r, struct buf *b, size_t replies);

/* Waits, without an end, until something has come or can be sent. */
void peer_wait(const struct raw *r, bool to_send);

/* Appends an ACQUIRE that waits, since 0. mode is one of enum protocol_mode. */
void peer_put_acquire(struct buf *b, uint16_t tag, uint32_t fd, int mode);

/* The size of its reply, when all of a segment of size bytes is published. */
size_t peer_grant_size(const struct daemon *d, uint32_t size);

/* Appends a one-way RELEASE of a pure lock, or with an empty delta. */
void peer_put_release(struct buf *b, uint16_t tag, uint32_t fd, uint64_t grant, bool has_segment);

/*
 * Appends a RELEASE that publishes all of a segment of size bytes. grant is the number of the
 * grant; published says how often the segment was published before (smuf: which slot is current).
 */
void peer_put_publication(struct buf *b, const struct daemon *d, uint32_t fd, uint64_t grant,
    uint32_t size, unsigned published);

enum {
	PEER_FILL = 0x40,
	PEER_FILLS = 64
}; /* what it publishes: PEER_FILL + published % PEER_FILLS */

/* The size of the body of that RELEASE. */
uint32_t peer_publication_size(const struct daemon *d, uint32_t size);

/* Fields of a request: a u32; size bytes of one value. */
void peer_put_u32(struct buf *b, uint32_t value);
void peer_put_same(struct buf *b, int value, size_t size);

/* Bytes of the body of a RELEASE with a delta, up to its count. */
enum { PEER_RELEASE_FIXED = 4 + 8 + 1 + DELTA_COUNT_SIZE };

/*
 * Appends the head of a RELEASE, up to the count of its delta, behind which delta_size bytes have
 * to follow.
 */
void peer_put_head(struct buf *b, uint32_t fd, uint64_t grant, uint32_t delta_size, uint32_t count);

/* Opens and maps count files PREFIX0, PREFIX1, ...: descriptors 0 to count - 1. size 0: no MMAP. */
void peer_open_many(struct raw *r, const char *prefix, uint32_t count, uint32_t size);

/*
 * Publishes all of the count segments of size bytes, each for the first time, under grant 1: they
 * are new.
 */
void peer_publish_many(struct raw *r, const struct daemon *d, uint32_t count, uint32_t size);

/*
 * Opens and maps a file. Waits while there is no memory: the server may be busy with segments that
 * have ended.
 */
void peer_open(struct raw *r, const char *name, uint32_t size);

/* Opens a new file of size bytes as descriptor 0, and publishes all of it under grant 1. */
void peer_open_published(struct raw *r, const struct daemon *d, const char *name, uint32_t size);

enum { PEER_BURST = 210 * 1000 }; /* bytes of requests that fit into the sockets */

/*
 * Opens a new file of 8 MiB and publishes it; acquires and releases it again and again until that
 * moment, and throws the grants away as fast as they come. r is of no use afterwards.
 */
void peer_read_grants(struct raw *r, const struct daemon *d, const char *name, uint64_t until);

/*
 * New peers each send the head of a body that the server keeps, for a segment of 256 MiB, and
 * leave: one at least, and until that moment.
 */
void peer_leave_bodies(struct rig *rig, uint64_t until);

/*
 * Acquires descriptor fd exclusively, with a replica of that version. Returns the grant. Fails the
 * test when there is none.
 */
uint64_t peer_acquire(struct raw *r, uint32_t fd, uint64_t since);

/*
 * Sends a RELEASE that publishes all of a segment, like peer_put_publication(), piece by piece, up
 * to its last left bytes. Replies are not read.
 */
void peer_stream_publication(struct raw *r, const struct daemon *d, uint32_t fd, uint64_t grant,
    uint32_t size, unsigned published, uint32_t left);

#endif
