/*
 * ops: the operations, constants and limits of the wire protocol (DESIGN 4 and 9), for both ends.
 */
#ifndef COMMON_WIRE_OPS_H
#define COMMON_WIRE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/size.h"

enum op {
	OP_NEW_FDTABLE = 0,
	OP_FORK = 1,
	OP_CHILD_ATTACH = 2,
	OP_OPEN = 3,
	OP_CLOSE = 4,
	OP_LOCK = 5,   /* version 1 only */
	OP_UNLOCK = 6, /* version 1 only */
	OP_MMAP = 7,
	OP_HELLO = 16,
	OP_ACQUIRE = 17, /* this and what follows: version 2 only */
	OP_RELEASE = 18,
	OP_CANCEL = 19,
	OP_STAT = 20,
	OP_LIST = 21,
	OP_COUNT = 22
};

enum ops_version { OPS_VERSION_1 = 1, OPS_VERSION_2 = 2 };

/* The type of a memory file in LOCK, UNLOCK and STAT. */
enum ops_type {
	OPS_TYPE_PURE = 0, /* a lock and no segment */
	OPS_TYPE_SEGMENT = 1,
	OPS_TYPE_UNPUBLISHED =
	    2 /* a segment that nobody has published to yet; never sent by a client */
};

/* The mode of an ACQUIRE. */
enum ops_mode { OPS_EXCLUSIVE = 1, OPS_SHARED = 2 };

#define OPS_TIMEOUT_TRY UINT32_C(0)
#define OPS_TIMEOUT_NEVER UINT32_MAX

enum ops_release_flag {
	OPS_RELEASE_ONE_WAY = 1,   /* no reply unless it fails */
	OPS_RELEASE_UNVERIFIED = 2 /* the grant's blocks did not verify */
};

/* The features a server tells in its HELLO. */
enum ops_feature { OPS_FEATURE_LEASES = 1 };

enum {
	OPS_INSTANCE_ID_SIZE = 16,
	OPS_DESCRIPTOR_LIMIT = 1024, /* a session */
	OPS_FORK_LIMIT = 256,        /* pending ones, a session */
	OPS_SMALL_BODY = 64 *
	    SIZE_KIB, /* a larger body is kept only from the holder of a segment's lock */
	OPS_HELLO_REPLY_SIZE = 16 + OPS_INSTANCE_ID_SIZE,
	OPS_STAT_SIZE = 8 + 8 + 8 + 1 + 8 + 4 + 4 + 8
};

/* The operation's name, "?" for none. */
const char *ops_name(uint32_t op);

/* True when the operation exists in that version; HELLO, which changes the version, in both. */
bool ops_is_known(uint32_t op, enum ops_version version);

/* The fields of STAT, in the order of the wire. */
struct ops_stat {
	uint64_t life;       /* random, drawn when the file was created */
	uint64_t size;       /* of the segment, bytes; 0 for a pure lock */
	uint64_t committed;  /* of these, bytes that have memory behind them */
	uint8_t type;        /* enum ops_type */
	uint64_t version;    /* of the segment: the newest of its blocks; 0: nothing published */
	uint32_t open_count; /* descriptors, pending forks included */
	uint32_t waiters;    /* ACQUIREs that wait */
	uint64_t grants;     /* given since the file was created */
};

struct wire_reader;
struct wire_writer;

void ops_put_stat(struct wire_writer *w, const struct ops_stat *stat);
void ops_get_stat(struct wire_reader *r, struct ops_stat *stat);

/* The largest body either side sends for segments of at most segment_limit bytes, changed in any way. */
uint32_t ops_largest_body(uint32_t segment_limit);

#endif
