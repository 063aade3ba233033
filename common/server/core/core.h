/*
 * core: the state of the server and its sessions, shared by the files of this folder that make up the
 * core: server.c (the whole), session.c (bytes to requests, replies to bytes), ops.c, ops_v1.c and ops_v2.c
 * (what a request does), forks.c. The core does no I/O and asks no clock; what drives it includes
 * server.h and session.h, not this.
 *
 * A descriptor with a claim is in exactly one list of its session: pending while its ACQUIRE has had no
 * reply (it waits, or is granted and is_undelivered), held once the reply is written.
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
	uint64_t now;
	struct timer_queue timers;
	struct session_list sessions;
	struct session_list ready; /* see server_next_ready() */
	uint32_t session_count;
	struct memfile_tree files;
	struct forks forks;
	struct spare spare;
	uint8_t instance_id[PROTOCOL_INSTANCE_ID_SIZE];
};

struct session {
	struct server *server;
	TAILQ_ENTRY(session) link;
	TAILQ_ENTRY(session) ready_link;
	bool is_ready;
	char *peer;  /* for the log */
	void *owner; /* the driver's */
	enum protocol_version version;
	bool has_begun; /* a request was executed: too late for HELLO */
	bool has_table; /* NEW_FDTABLE or CHILD_ATTACH was */
	struct fdtable table;
	struct fork_parent forks; /* pending ones of this session */
	struct desc_list pending;
	struct desc_list held;

	/* The request that is coming in. */
	uint8_t header[FRAME_HEADER_SIZE];
	uint32_t header_have; /* bytes of it */
	uint64_t body_size;   /* as the header says */
	uint64_t body_have;   /* bytes of it that came */
	uint32_t body_keep;   /* bytes of it that are kept; the rest is thrown away */
	struct buf body;
	struct buf backlog; /* came, not looked at: the replies are not read */
	struct timer stall; /* armed while half a frame is here */

	struct buf out;    /* replies not sent yet */
	bool write_failed; /* the peer reads no more: replies are dropped */
	bool is_over;
};

#endif
