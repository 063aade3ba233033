/*
 * ruler: what the machine, the kernel and OpenSSL cost with nothing of ours
 * in between.  All targets of the benchmark are multiples of these figures.
 *
 * Most rulers are a TLS 1.3 connection over a unix stream socket between the
 * calling process and a child of its own, both on whatever core the caller is
 * pinned to (the child inherits that).  The certificate is made in memory and
 * thrown away.  The child ends with the ruler, and with its parent whatever
 * kills that.  The caller must ignore SIGPIPE: OpenSSL writes with write(2).
 * The others, a cipher and a mutex, are work of the calling process alone.
 *
 * Several rulers may be open at the same time, so that batches of them can be
 * taken in turn with what they are compared to: then all of it sees the same
 * changes of the machine's mood.  An idle one sleeps in a read and costs nothing.
 */
#ifndef BENCH_RULER_H
#define BENCH_RULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ruler_kind {
	/*
	 * The unit: 40 bytes there, 40 bytes back; blocking sockets, OpenSSL
	 * as it comes.
	 */
	RULER_ROUND_TRIP,
	/*
	 * The messages of a critical section with an empty server: 40 bytes
	 * there, 40 back, 40 there that nobody answers.  The server is an
	 * epoll loop over a non-blocking socket; both ends read ahead.
	 */
	RULER_SECTION,
	/*
	 * The same where the one-way message carries one block (40 + 4096
	 * bytes): one process alone, which changes one block of a segment.
	 * Its grants bring nothing, as it made the last change itself.
	 * A release may carry less than a block if the tracker knows; then
	 * RULER_SECTION is the floor.
	 */
	RULER_SECTION_RELEASE,
	/*
	 * The same where the reply carries a block too: processes that take
	 * turns, each fetching the block that the other changed.
	 */
	RULER_SECTION_HANDOVER,
	/*
	 * The bare work on 1 MiB that changes as a whole: one memset, one
	 * memcpy, the copy sent through TLS in writes of 4 KiB, read to the
	 * last byte at the other end, which then sends 1 byte back: without
	 * that the clock would stop with the last of it still in the socket.
	 */
	RULER_BULK_4K,
	/* The same in writes of 16 KiB, the largest TLS record: stricter. */
	RULER_BULK_16K,
	/*
	 * The bare work on 1 MiB that is sealed as a whole: one memset, one memcpy, the copy encrypted with
	 * AES-256-GCM in blocks of 4 KiB, each with an IV and a tag of its own, by one keyed context into private
	 * memory.  Where the sealed bytes go from there is not part of it.
	 */
	RULER_GCM_4K,
	/* The same with AES-256-CTR, which has no tag. */
	RULER_CTR_4K,
	/*
	 * An uncontended pthread mutex in shared memory.  It is so short that a sample is the mean of RULER_GROUP
	 * of them, or the clock would be most of it.
	 */
	RULER_MUTEX,

	RULER_KINDS
};

enum { RULER_GROUP = 100 };

struct ruler;

/*
 * Start the child and do the handshake.  -errno; -EPROTO when OpenSSL fails.
 */
int ruler_create(struct ruler **out, enum ruler_kind kind);

/* NULL is fine.  The child has ended when this returns. */
void ruler_destroy(struct ruler *ruler);

/*
 * Do it `count` times and store the nanoseconds that each took, from the end
 * of one to the end of the next, so that nothing is left out between them.
 * The first few after a pause are slower: measure some and throw them away.
 * -EPROTO when the connection fails.
 */
int ruler_measure(struct ruler *ruler, uint64_t *samples, size_t count);

/* A few words for a line of output. */
const char *ruler_name(enum ruler_kind kind);

/* What is counted in it, in words: "round trips". */
const char *ruler_unit(enum ruler_kind kind);

/* Is it the bare work on 1 MiB? */
bool ruler_is_bulk(enum ruler_kind kind);

#endif
