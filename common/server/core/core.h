/*
 * core: the state of the server and of its sessions, which the files of this folder share.
 *
 * The core executes requests; it does no I/O and reads no clock. The driver (the event loop, a
 * test, a fuzzer) includes server.h and session.h, not this. The files, each of which calls only
 * those below it:
 *
 *	server		the whole: create, time, timers, tasks, the next ready session
 *	session		what the driver calls: feeds, works, sends
 *	receiving	bytes to requests
 *	dispatch	the handler of each operation
 *	handlers, handlers_v1, handlers_v2, handlers_inspect
 *	publishing	RELEASE and UNLOCK, in pieces
 *	closing		the end of descriptors, with their claims
 *	claims		the claims of descriptors on locks
 *	sending		grants into a session's output, in pieces
 *	leases		how long a lock may be held
 *	claimlists	the lists of a session's claims
 *	grace		timers that let a session be read first
 *	reply		replies into a session's output
 *	buffers, wiper	the memory of a session, charged to its account; large buffers wiped
 *	spare, forks	the spare buffer; the pending forks
 *	snapshot, tags	a table at a FORK; the claims by their tags
 *	sessions	all sessions by their keys
 *	fdtable		descriptors
 *	memfile		memory files, in front of the store (store.h)
 *	account		what each peer uses
 *	schedule, lockqueue, pollers, blockmap
 */
#ifndef COMMON_SERVER_CORE_CORE_H
#define COMMON_SERVER_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/buf.h"
#include "common/base/timer.h"
#include "common/server/core/account.h"
#include "common/server/core/fdtable.h"
#include "common/server/core/forks.h"
#include "common/server/core/grace.h"
#include "common/server/core/memfile.h"
#include "common/server/core/server_config.h"
#include "common/server/core/schedule.h"
#include "common/server/core/sessions.h"
#include "common/server/core/spare.h"
#include "common/server/core/store.h"
#include "common/server/core/tags.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"

struct inspect_reload;

TAILQ_HEAD(session_list, session);

struct server {
	struct server_config config;
	const struct store_ops *store;
	uint64_t now; /* nanoseconds, set by the driver */
	struct timer_queue timers;
	struct sessions sessions;
	struct session_list ready; /* reply_mark_ready() appends, server_next_ready() removes */
	struct memfile_tree files;
	struct forks forks;
	struct spare spare;
	struct accounts accounts;
	struct schedule schedule;
	uint8_t instance_id[PROTOCOL_INSTANCE_ID_SIZE];

	/* The driver's, see server_set_reload(); NULL: there is none. */
	void (*reload)(void *arg, const char *peer, struct inspect_reload *out);
	void *reload_arg;

	/* Counted for INSPECT. */
	uint64_t started; /* when the driver first set the time */
	uint64_t requests;
	uint64_t grants;
	struct session *served;   /* whose turn has ended and was not yet measured, or NULL */
	uint32_t longest_turn_us; /* of all turns */
	uint32_t recent_turn_us;  /* the longest one since INSPECT last told it */
};

/* A grant, or the segment of a LOCK, that is being written into the output; see sending.h. */
struct sending {
	struct desc *desc; /* NULL: none */
	bool is_lock;      /* version 1 */
	struct store_cursor cursor;
};

/* A RELEASE or UNLOCK that is being applied; see publishing.h. */
struct publishing {
	struct desc *desc; /* NULL: none */
	struct store_publication publication;
	int (*apply)(struct memfile *f, struct store_publication *p, const struct budget *b);
	int (*end)(struct session *s, struct desc *d, int error);
	uint32_t begun; /* in turns of the session */
	uint16_t tag;
	uint8_t flags; /* of a RELEASE */
};

struct session {
	struct server *server;
	RB_ENTRY(session) link;
	uint64_t key; /* see sessions.h */
	TAILQ_ENTRY(session) ready_link;
	bool is_ready;           /* in the list of ready sessions */
	char *peer;              /* its name for the log */
	void *owner;             /* the driver's */
	bool is_operator;        /* INSPECT exists for it */
	uint32_t pid;            /* what its client has said of itself, for STAT; 0: nothing */
	struct account *account; /* a reference */
	uint64_t charged;        /* of ACCOUNT_MEMORY, for the buffers; see buffers.h */
	uint32_t turns;          /* that have ended; see grace.h */
	bool must_look;          /* the next turn is to read what has come; see grace.h */
	bool has_ended;          /* the driver has destroyed it, and it is still publishing */
	struct task task;        /* that goes on publishing then */
	enum protocol_version version;
	bool has_begun; /* a request was executed: too late for HELLO */
	bool has_table; /* after NEW_FDTABLE or CHILD_ATTACH */
	struct fdtable table;
	struct fork_parent *forks; /* NULL before its first FORK */
	struct desc_list pending;  /* descriptors whose ACQUIRE waits; see claimlists.h */
	struct desc_list granted;  /* whose ACQUIRE was granted, the reply not yet begun */
	struct desc_list held;     /* that hold a lock, the reply begun */
	struct desc_list leases;   /* of held: whose lease begins when their reply is sent */
	struct tags tags;          /* of all but version 1's, by the tags of their ACQUIREs */

	/* The frame that is being received or executed. */
	uint8_t header[FRAME_HEADER_SIZE];
	uint32_t header_received; /* bytes of the header; 0 between two frames */
	uint64_t body_size;
	uint64_t body_received;
	uint32_t body_kept;     /* bytes of the body that are kept; the rest is discarded */
	int missing_error;      /* why the rest is discarded: -EINVAL or -ENOMEM */
	struct buf body;        /* empty when the whole body came at once */
	bool is_complete;       /* the whole frame has come; it waits, or is being executed */
	uint64_t wait_deadline; /* of a request that waits; 0: none does */
	bool is_waiting;        /* it could not be executed yet: not again in this turn */
	struct timer memory;    /* armed while there is none for the body, or a reply */
	uint64_t memory_deadline;
	struct timer stall; /* armed while the frame is incomplete */
	struct grace stall_grace;
	struct buf backlog; /* received, not read yet */
	struct publishing publishing;

	struct buf out;  /* unsent replies */
	struct buf late; /* replies that follow the one that is being sent, see sending */
	uint64_t sent;   /* bytes of replies, since the session began */
	struct sending sending;
	bool input_ended;  /* the peer sends no more */
	bool write_failed; /* the peer reads no more, or must not: replies are dropped */
	bool is_over;      /* the driver closes the connection once out is sent */

	/* Counted for INSPECT. */
	uint64_t created;
	uint64_t requests;
	uint64_t bytes_in;
	uint32_t waiting_count; /* length of pending, and upgrades that wait */
	uint32_t held_count;    /* of granted and held together */
	uint32_t longest_turn_us;
};

#endif
