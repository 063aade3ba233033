/*
 * ruler: the cost of the machine, the kernel and OpenSSL without any of this project's code. Every
 * target of the benchmark is a multiple of one of these figures.
 *
 * Most rulers are a TLS 1.3 connection over a unix stream socket between the calling process and a
 * child of its own, both on the core that the caller is pinned to: the child inherits it. The
 * certificate is made in memory and thrown away. The child ends with the ruler, and with its parent
 * if a signal kills that. The caller must ignore SIGPIPE, since OpenSSL writes with write(2).
 * The other rulers, a cipher and a mutex, are work of the calling process alone.
 *
 * Several rulers may be open at once. A caller measures batches of them in turn with the work that
 * it compares to them: then changes of the machine's speed affect all of them alike. An idle ruler
 * sleeps in a read and costs nothing.
 */
#ifndef BENCH_RULER_H
#define BENCH_RULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ruler_kind {
	/* The unit: 40 bytes there and 40 bytes back; blocking sockets, OpenSSL's defaults. */
	RULER_ROUND_TRIP,
	/*
	 * The messages of a critical section with an empty server: 40 bytes there, 40 back, and 40
	 * there without an answer. The server is an epoll loop over a non-blocking socket; both
	 * ends read ahead.
	 */
	RULER_SECTION,
	/*
	 * The same with one block in the one-way message (40 + 4096 bytes): a process alone that
	 * changes one block of a segment. Its grants carry nothing, since it made the last change
	 * itself. A release may carry less than a block if the tracker knows the bytes that
	 * changed; then RULER_SECTION is the lower bound.
	 */
	RULER_SECTION_RELEASE,
	/*
	 * The same with one block in the reply, too: processes that take turns, each of which
	 * fetches the block that another process changed.
	 */
	RULER_SECTION_HANDOVER,
	/*
	 * The bare work on 1 MiB that changes as a whole: one memset, one memcpy, and the copy sent
	 * through TLS in writes of 4 KiB. The other end reads to the last byte and then sends 1
	 * byte back: without it the clock would stop while the last bytes are still in the socket.
	 */
	RULER_BULK_4K,
	/* The same in writes of 16 KiB, the largest TLS record: a stricter figure. */
	RULER_BULK_16K,
	/*
	 * The bare work on 1 MiB that is sealed as a whole: one memset, one memcpy, and the copy
	 * encrypted with AES-256-GCM in blocks of 4 KiB, each with its own IV and tag, by one keyed
	 * context into private memory. Storing the sealed bytes is not part of it.
	 */
	RULER_GCM_4K,
	/* The same with AES-256-CTR, which has no tag. */
	RULER_CTR_4K,
	/*
	 * An uncontended process-shared pthread mutex in a page that is mapped MAP_SHARED: locking
	 * where processes may share memory. A sample is the mean of RULER_GROUP critical sections:
	 * reading the clock costs more than one of them.
	 */
	RULER_MUTEX,

	RULER_KINDS
};

enum { RULER_GROUP = 100 };

struct ruler;

/*
 * Opens a ruler; one with a connection starts its child and does the handshake. Returns 0 or a
 * negative errno, -EPROTO when OpenSSL fails.
 */
int ruler_create(struct ruler **out, enum ruler_kind kind);

/* Closes a ruler; its child has ended when this returns. NULL does nothing. */
void ruler_destroy(struct ruler *ruler);

/*
 * Does the work count times and stores the nanoseconds of each, from the end of the previous one to
 * its own end, so that no time between two is lost. The first few after a pause are slower: measure
 * some and discard them. Returns 0, or -EPROTO when the connection fails.
 */
int ruler_measure(struct ruler *ruler, uint64_t *samples, size_t count);

/* The work in a few words. */
const char *ruler_name(enum ruler_kind kind);

/* The unit of multiples of it: "round trips". */
const char *ruler_unit(enum ruler_kind kind);

/* Is it the bare work on 1 MiB? */
bool ruler_is_bulk(enum ruler_kind kind);

#endif
