/*
 * core: the state of the server and of its sessions, which the files of this folder share.
 *
 * The core executes requests; it does no I/O and reads no clock. The driver (the event loop, a
 * test, a fuzzer) includes server.h and session.h, not this. The files, each of which calls only
 * those below it:
 *
 *	server		the whole: create, time, timers, the next ready session
 *	session		bytes to requests
 *	dispatch	the handler of each operation
 *	handlers, handlers_v1, handlers_v2
 *	claims		the claims of descriptors on locks
 *	reply		replies into a session's output
 *	spare, forks	the spare buffer; the pending forks
 *	fdtable		descriptors
 *	memfile		memory files, in front of the store (store.h)
 *	lockqueue, blockmap
 */
#ifndef COMMON_SERVER_CORE_CORE_H
#define COMMON_SERVER_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/buf.h"
#include "common/base/timer.h"
#include "common/server/core/fdtable.h"
#include "common/server/core/forks.h"
#include "common/server/core/memfile.h"
#include "common/server/core/server_config.h"
#include "common/server/core/spare.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"

TAILQ_HEAD(session_list, session);

struct server {
	struct server_config config;
	const struct store_ops *store;
	uint64_t now; /* nanoseconds, set by the driver */
	struct timer_queue timers;
	struct session_list sessions;
	uint32_t session_count;
	struct session_list ready; /* reply_mark_ready() appends, server_next_ready() removes */
	struct memfile_tree files;
	struct forks forks;
	struct spare spare;
	uint8_t instance_id[PROTOCOL_INSTANCE_ID_SIZE];
};

struct session {
	struct server *server;
	TAILQ_ENTRY(session) link;
	TAILQ_ENTRY(session) ready_link;
	bool is_ready; /* in the list of ready sessions */
	char *peer;    /* its name for the log */
	void *owner;   /* the driver's */
	enum protocol_version version;
	bool has_begun; /* a request was executed: too late for HELLO */
	bool has_table; /* after NEW_FDTABLE or CHILD_ATTACH */
	struct fdtable table;
	struct fork_parent forks;
	struct desc_list pending; /* descriptors whose ACQUIRE has had no reply; see claims.h */
	struct desc_list held;    /* descriptors that hold a lock, the reply written */

	/* The frame that is being received. */
	uint8_t header[FRAME_HEADER_SIZE];
	uint32_t header_received; /* bytes of the header; 0 between two frames */
	uint64_t body_size;
	uint64_t body_received;
	uint32_t body_kept; /* bytes of the body that are kept; the rest is discarded */
	struct buf body;    /* empty when the whole body came at once */
	struct timer stall; /* armed while the frame is incomplete */
	struct buf backlog; /* received, not read yet: too many replies are unsent */

	struct buf out;    /* unsent replies */
	bool write_failed; /* the peer reads no more: replies are dropped */
	bool is_over;      /* the driver closes the connection once out is sent */
};

#endif
