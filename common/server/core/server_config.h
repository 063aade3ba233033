/*
 * server_config: the limits of a server that its command line can set (PROTOCOL 8).
 *
 * The core enforces all but session_limit: the daemon counts its connections, handshakes included.
 */
#ifndef COMMON_SERVER_CORE_SERVER_CONFIG_H
#define COMMON_SERVER_CORE_SERVER_CONFIG_H

#include <stdint.h>

struct server_config {
	uint32_t session_limit; /* -c */
	uint64_t segment_limit; /* -s, bytes, at most PROTOCOL_SEGMENT_MOST */
	uint64_t total_limit;   /* -m, bytes */
	uint64_t memory_limit;  /* -B, bytes of bodies, replies and tables */
	uint32_t lease_ms;      /* -t; 0: a holder may keep a lock for ever */
};

/*
 * The defaults: 1024 sessions, 256 MiB a segment, 1 GiB in all, 256 MiB of requests, replies and
 * tables, no lease.
 */
struct server_config server_config_default(void);

#endif
