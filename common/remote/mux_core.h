/*
 * mux_core: the state of a connection, shared by the files that make up mux. Others include mux.h.
 * Each file calls only those above it in this list:
 *
 *	mux_core.c	the mutex, the end of a connection, limits, and poll(2), which no other
 *			file calls
 *	mux_failure.c	failures of one-way requests
 *	mux_orphan.c	replies that no thread waits for
 *	mux_input.c	from bytes to replies
 *	mux_output.c	from requests to bytes
 *	mux_cancel.c	pings, and calls that are given up
 *	mux.c		creating and destroying, waiting, fork(2)
 *
 * The functions here are called with the mutex, except mux_core_lock().
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
	UNLOOKED_MOST = 64 * SIZE_KIB, /* of a message, between two looks at the socket */
	KEEP_SIZE = 64 * SIZE_KIB,     /* the spare buffer may always keep this much, */
	KEEP_REPLIES = 64,             /* and more until so many replies in a row did not need it */
	RECHECK_MS = 20,
	CANCEL_MS = 20, /* within which the socket must take a CANCEL */
	REASON_SIZE = 200,
	ORPHANS_MOST = 1024, /* calls that are given up and have had no answer */
	NO_TAG = MUX_NO_TAG,
	ONE_WAY_TAG = 0x8000, /* tags from here on are of one-way requests */
	FAILURES_LEAST = 16
};

TAILQ_HEAD(call_list, mux_call);

/*
 * Replies that no thread waits for: that of a call that was given up, while is_awaited, and that of
 * its CANCEL, until is_answered. The tags are in use until both have come. A ping is a CANCEL of
 * NO_TAG: every other tag may be that of an ACQUIRE that was answered long ago, whose grant is
 * still held, and which the CANCEL would end.
 */
struct mux_orphan {
	TAILQ_ENTRY(mux_orphan) link;
	uint16_t tag;  /* of the CANCEL */
	uint16_t call; /* its tag; NO_TAG: there is none */
	uint32_t most; /* bytes of the reply to the call */
	bool is_awaited;
	bool is_sent; /* the CANCEL */
	bool is_answered;
	struct mux_limit limit; /* then the server is silent */
};
TAILQ_HEAD(orphan_list, mux_orphan);

struct mux {
	pthread_mutex_t mutex; /* guards all but what is the sender's; never held by a sleeper */
	struct stream *stream; /* closed once it has ended and no thread polls it */
	bool has_ended;
	uint64_t ended_at;
	int error; /* with which it ended */
	char reason[REASON_SIZE];
	unsigned pollers; /* threads in poll(2) */
	bool has_driver;  /* a thread polls or reads for all */
	bool has_tags;
	uint16_t last_tag;
	uint64_t silence;       /* nanoseconds; see mux.h */
	uint64_t yield_from;    /* when the driver may let the server run, see mux_input.c */
	_Atomic uint64_t moved; /* bytes that were read and written; read without the mutex */
	uint64_t heard;         /* when a reply has come while others were waited for; 0: never */
	struct call_list calls; /* not yet answered, in the order they were sent */
	struct orphan_list orphans; /* in the order they were made */
	unsigned orphan_count;

	/* Input: bytes read and not yet dispatched, and the call whose body is arriving. */
	uint8_t in[READ_SIZE];
	size_t in_head;
	size_t in_size;
	struct mux_call *incoming;
	size_t incoming_have;
	size_t incoming_size;
	uint64_t discarding; /* bytes of a body that are still to come and that nobody wants */
	struct buf spare;    /* for the next large reply */
	unsigned replies_since_large;

	/* By tag, from ONE_WAY_TAG on; NULL: not in use. */
	struct mux_failure **failures;
	size_t failures_room;

	/* Output. The members after is_sending are the sender's own. */
	pthread_cond_t sender_done;
	bool is_sending;
	struct mux_limit send_limit; /* of the sender; changed and read with the mutex */
	size_t unlooked;             /* bytes to write without a look at the socket */
	uint64_t body_left;          /* of the request, still to be put */
	size_t staged;
	uint8_t staging[STAGING_SIZE];
};

void mux_core_lock(struct mux *m);
void mux_core_unlock(struct mux *m);

/*
 * The connection has ended with error: shuts it down and wakes every thread that waits. Returns
 * error, but -ECONNRESET for the end of the stream (0) and -EPIPE. After -ETIMEDOUT all other
 * callers see -ECONNRESET: their deadlines have not passed.
 */
int mux_core_end(struct mux *m, int error);

/* Counts bytes that were read or written. */
void mux_core_moved(struct mux *m, size_t size);

/* The time of a limit, as it is now. */
uint64_t mux_core_limit(const struct mux *m, struct mux_limit limit);

/* The poll(2) events that reading, the handshake included, and writing wait for. */
short mux_core_read_events(const struct mux *m);
short mux_core_write_events(const struct mux *m);

/*
 * Sleeps, without the mutex, until the socket is ready for one of events, the connection has ended,
 * or a signal ends the wait e (NULL: none does). Returns 0 with *ready, the events; -ETIMEDOUT;
 * -EINTR; or another negative errno of poll(2).
 */
int mux_core_poll(struct mux *m, short events, uint64_t deadline, short *ready, struct eintr *e);

/* True when a read from the socket would return at once. */
bool mux_core_is_readable(const struct mux *m);

/* True when a small write to the socket would not wait. */
bool mux_core_is_writable(const struct mux *m);

/*
 * Records the failure that frame, the answer to a one-way request, brings. Returns 0, or -EPROTO:
 * the connection has ended.
 */
int mux_failure_record(struct mux *m, struct frame frame);

/*
 * Takes frame for the reply to an orphan; its body is discarded. Returns 0, or -EPROTO when there
 * is no such orphan.
 */
int mux_orphan_answer(struct mux *m, struct frame frame);

/* Frees o if both replies have come. */
void mux_orphan_settle(struct mux *m, struct mux_orphan *o);

/* True when an orphan's CANCEL or call has that tag. */
bool mux_orphan_has_tag(const struct mux *m, uint16_t tag);

/* The first one whose CANCEL is to be sent, or NULL. */
struct mux_orphan *mux_orphan_unsent(const struct mux *m);

/* True when one of them is to be sent that is not a ping. */
bool mux_orphan_has_unsent_cancel(const struct mux *m);

/* Frees all. */
void mux_orphan_forget(struct mux *m);

/* The call that a reply with that tag answers, or NULL. */
struct mux_call *mux_input_find(struct mux *m, uint16_t tag);

/*
 * Reads once, and dispatches. Returns 1 when bytes came, 0 when there were none, or the error with
 * which the connection has ended.
 */
int mux_input_read(struct mux *m);

/*
 * The caller is the driver for one read: waits for bytes, if none have arrived, and reads once. The
 * answer to a request for a lock usually comes within microseconds, which is_for_lock makes use of.
 * Returns 0, -ETIMEDOUT, -EINTR (e: see mux_core_poll()), or the error with which the connection
 * has ended.
 */
int mux_input_drive(struct mux *m, bool is_for_lock, uint64_t deadline, struct eintr *e);

/* A tag that no request has. */
uint16_t mux_output_draw_tag(struct mux *m);

/*
 * Sends the CANCELs that are to be sent, unless there is a sender, which will. While all of them
 * are pings they wait for room in the socket. A CANCEL of a call does not: the server may have
 * granted the lock, so a connection that takes no CANCEL ends.
 */
void mux_output_send_orphans(struct mux *m);

/*
 * A thread that has waited since begun looks whether the server lives: sends a ping when nothing
 * has been answered for a third of the silence; ends the connection when one is overdue. Returns
 * when to look again.
 */
uint64_t mux_cancel_check(struct mux *m, uint64_t begun);

/* If there is no driver, wakes one of the waiting threads to become it. */
void mux_input_wake_driver(struct mux *m);

#endif
