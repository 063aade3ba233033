/*
 * inspect: the records in the replies to INSPECT, for both ends (PROTOCOL 5.6).
 *
 * A record begins with its length, so a server may add fields behind those that a client knows. The
 * strings of a record that was read point into the message; no NUL ends them, and their bytes are
 * what peers chose.
 */
#ifndef COMMON_WIRE_INSPECT_H
#define COMMON_WIRE_INSPECT_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire/protocol.h"

struct wire_reader;
struct wire_writer;

/* A string of 65535 bytes at most; data may be NULL when size is 0. */
struct inspect_string {
	const char *data;
	uint16_t size;
};

/* The server as a whole. */
struct inspect_server {
	uint8_t instance_id[PROTOCOL_INSTANCE_ID_SIZE];
	uint32_t version; /* of the protocol, the highest one */
	uint64_t uptime_ms;
	uint32_t sessions;
	uint32_t handshakes;
	uint32_t files;
	uint64_t segments; /* bytes that are charged for segments (-m) */
	uint64_t memory;   /* bytes of requests, replies and tables (-B) */
	uint64_t segments_limit;
	uint64_t memory_limit;
	uint64_t requests;
	uint64_t grants;
	uint64_t lines_lost;      /* of the log */
	uint32_t longest_turn_us; /* since the start */
	uint32_t recent_turn_us;  /* the longest one since the last INSPECT of the server */
};

/* A memory file. */
struct inspect_file {
	uint64_t key;
	struct protocol_stat stat;
	uint64_t holder; /* the key of its session; of readers, of the first; 0: the lock is free */
	uint32_t held_ms;
	uint64_t bytes_granted;
	uint64_t bytes_released;
	uint64_t waited_ms; /* of all ACQUIREs, those that wait included */
	struct inspect_string name;
};

/* A session. */
struct inspect_session {
	uint64_t key;
	uint64_t age_ms;
	uint8_t version; /* of the protocol */
	uint32_t descriptors;
	uint32_t held;    /* locks */
	uint32_t waiting; /* ACQUIREs */
	uint64_t requests;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t memory; /* bytes that its buffers are charged */
	uint32_t unsent; /* bytes of replies */
	uint32_t longest_turn_us;
	struct inspect_string peer;    /* the name of its account */
	struct inspect_string address; /* what the log calls it */
};

/* What a server could not load, or open, again. */
enum inspect_failed {
	INSPECT_FAILED_CERTIFICATES = 1,
	INSPECT_FAILED_LISTS = 2,
	INSPECT_FAILED_LOG = 4
};

/* A reload. */
struct inspect_reload {
	uint8_t failed;    /* bits of enum inspect_failed */
	uint8_t has_lists; /* revocation lists; else the next three are 0 */
	uint64_t revoked;  /* certificates on the lists in use */
	uint64_t valid_s;  /* seconds until the first list expires; 0: it has */
	uint32_t ending;   /* sessions */
	struct inspect_string reason;
};

/* Writes a record with its length. */
void inspect_put_server(struct wire_writer *w, const struct inspect_server *s);
void inspect_put_file(struct wire_writer *w, const struct inspect_file *f);
void inspect_put_session(struct wire_writer *w, const struct inspect_session *s);
void inspect_put_reload(struct wire_writer *w, const struct inspect_reload *l);

/*
 * Reads a record with its length, and skips fields that it does not know. A record that is too
 * short for its fields fails the reader.
 */
void inspect_get_server(struct wire_reader *r, struct inspect_server *s);
void inspect_get_file(struct wire_reader *r, struct inspect_file *f);
void inspect_get_session(struct wire_reader *r, struct inspect_session *s);
void inspect_get_reload(struct wire_reader *r, struct inspect_reload *l);

#endif
