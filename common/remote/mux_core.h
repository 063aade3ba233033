/*
 * mux_core: the state of a connection, shared by the files that make up mux: mux_core.c (its end, and sleeping on its
 * socket), mux_input.c (bytes to replies), mux_failure.c (failures of one-way requests), mux_output.c (requests to
 * bytes), mux.c (its life, and waiting). Everybody else includes mux.h.
 *
 * Everything here is called with the mutex.
 */
#ifndef COMMON_REMOTE_MUX_CORE_H
#define COMMON_REMOTE_MUX_CORE_H

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/size.h"
#include "common/remote/mux.h"
#include "common/wire/frame.h"

struct stream;

enum {
	STAGING_SIZE = 16 * SIZE_KIB, /* one TLS record */
	READ_SIZE = 16 * SIZE_KIB,
	KEEP_SIZE = 64 * SIZE_KIB, /* of the spare buffer, for good */
	LOOK_AGAIN_MS = 20,
	KEEP_REPLIES = 64, /* more is kept when so few replies did not need it */
	REASON_SIZE = 200,
	ONE_WAY_TAG = 0x8000, /* tags from here on are of one-way requests */
	FAILURES_LEAST = 16
};

TAILQ_HEAD(call_list, mux_call);

struct mux {
	pthread_mutex_t mutex; /* of all but the sender's own; never held in poll(2) */
	struct stream *stream; /* closed when it has ended and nobody sleeps on it */
	bool has_ended;
	int error; /* with which it ended */
	char reason[REASON_SIZE];
	unsigned pollers; /* in poll(2) */
	bool is_driven;   /* one of them, or one that reads, drives */
	bool has_tags;
	uint16_t last_tag;
	uint64_t deadline;      /* of all waiting, until the two ends have agreed */
	struct call_list calls; /* without their reply, in the order they were sent */

	/* Input: what was read and not yet handed out, and whose body is coming. */
	uint8_t in[READ_SIZE];
	size_t in_head;
	size_t in_size;
	bool is_drained;  /* the last read found nothing */
	short read_wants; /* and then the socket has to be ready for this */
	struct mux_call *incoming;
	size_t incoming_have;
	size_t incoming_size;
	struct buf spare; /* for the next large reply */
	unsigned replies_since_large;

	struct mux_failure **failures;
	size_t failures_room;

	/* Output. What follows the flag belongs to who has the turn. */
	pthread_cond_t turn;
	bool is_sending;
	uint64_t body_left; /* of the request, still to be put */
	size_t staged;
	uint8_t staging[STAGING_SIZE];
};

void mux_core_lock(struct mux *m);
void mux_core_unlock(struct mux *m);

/* mux_core.c: the connection has ended: nobody sleeps any longer. Returns error as callers are to see it. */
int mux_core_end(struct mux *m, int error);

/* mux_core.c: the events that the stream's last -EAGAIN asks for. */
short mux_core_poll_events(const struct mux *m);

/*
 * mux_core.c: sleeps, without the mutex, until the socket is ready for one of events, *ready, or the connection has ended:
 * 0; or -ETIMEDOUT.
 */
int mux_core_poll(struct mux *m, short events, uint64_t deadline, short *ready);

/* mux_core.c: true when a read from the socket would return now. */
bool mux_core_is_readable(const struct mux *m);

/* mux_input.c: the call that a reply with that tag is for, or NULL. */
struct mux_call *mux_input_find(struct mux *m, uint16_t tag);

/*
 * mux_input.c: reads once and hands out. Returns 1 when something came, 0 when there was nothing, or the error with
 * which the connection has ended.
 */
int mux_input_read(struct mux *m);

/*
 * mux_input.c: drives the connection: sleeps until something comes, if nothing has, and reads once. Returns 0,
 * -ETIMEDOUT, or the error with which the connection has ended.
 */
int mux_input_drive(struct mux *m, uint64_t deadline);

/* mux_input.c: who drove does so no longer: somebody else who waits has to. */
void mux_input_pass_on(struct mux *m);

/* mux_failure.c: a frame that answers a one-way request: its failure. Returns 0 or as mux_core_end(). */
int mux_failure_record(struct mux *m, struct frame frame);

#endif
