/*
 * protocol: the operations, constants, sizes and limits of the wire protocol, for both ends
 * (PROTOCOL 1 to 8).
 *
 * Everything that both ends must agree on is here or, where it has a form, in the files beside this
 * one: status.h (the statuses), frame.h, delta.h, and wire.h, which reads and writes fields. All
 * integers are big-endian.
 */
#ifndef COMMON_WIRE_PROTOCOL_H
#define COMMON_WIRE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/size.h"

enum protocol_op {
	OP_NEW_FDTABLE = 0,
	OP_FORK = 1,
	OP_CHILD_ATTACH = 2,
	OP_OPEN = 3,
	OP_CLOSE = 4,
	OP_LOCK = 5,   /* version 1 only */
	OP_UNLOCK = 6, /* version 1 only */
	OP_MMAP = 7,
	OP_HELLO = 16,
	OP_ACQUIRE = 17, /* from here on: version 2 only */
	OP_RELEASE = 18,
	OP_CANCEL = 19,
	OP_STAT = 20,
	OP_INSPECT = 22, /* for operators; 21 was another operation once */
	OP_OPEN2 = 23,   /* of PROTOCOL_FEATURE_EXTENSIONS, as the next one */
	OP_PROCESS = 24,
	OP_COUNT = 25
};

enum protocol_version { PROTOCOL_VERSION_1 = 1, PROTOCOL_VERSION_2 = 2 };

/* The type of a memory file in LOCK, UNLOCK and STAT. */
enum protocol_type {
	PROTOCOL_TYPE_PURE = 0,    /* a lock and no segment */
	PROTOCOL_TYPE_SEGMENT = 1, /* a lock with a segment */

	/* A lock with a segment that no client has published to yet. Clients never send it. */
	PROTOCOL_TYPE_UNPUBLISHED = 2
};

/* The mode of an ACQUIRE, and of a lock in STAT. */
enum protocol_mode {
	PROTOCOL_FREE = 0, /* STAT only: nobody holds the lock */
	PROTOCOL_EXCLUSIVE = 1,
	PROTOCOL_SHARED = 2,
	PROTOCOL_UPGRADE = 3 /* ACQUIRE only: from shared to exclusive */
};

#define PROTOCOL_TIMEOUT_TRY UINT32_C(0)
#define PROTOCOL_TIMEOUT_NEVER UINT32_MAX

enum protocol_release_flag {
	PROTOCOL_RELEASE_ONE_WAY = 1,    /* no reply unless it fails */
	PROTOCOL_RELEASE_UNVERIFIED = 2, /* the grant's blocks did not verify */
	PROTOCOL_RELEASE_KEEP = 4        /* the lock stays, shared */
};

enum protocol_open_flag {
	PROTOCOL_OPEN_CREATE = 1,   /* make the file if there is none */
	PROTOCOL_OPEN_EXCLUSIVE = 2 /* with CREATE: there must be none */
};

/* What a STAT with a second field asks for. */
enum protocol_stat_what { PROTOCOL_STAT_HOLDER = 1 };

/* What an INSPECT is about. */
enum protocol_inspect {
	PROTOCOL_INSPECT_SERVER = 0,
	PROTOCOL_INSPECT_FILES = 1,
	PROTOCOL_INSPECT_SESSIONS = 2,
	PROTOCOL_INSPECT_RELOAD = 3
};

/* The features in a server's reply to HELLO, a bit each. */
enum protocol_feature {
	PROTOCOL_FEATURE_LEASES = 1,
	PROTOCOL_FEATURE_EXTENSIONS = 2 /* PROTOCOL 5.1 */
};

enum {
	PROTOCOL_INSTANCE_ID_SIZE = 16,
	PROTOCOL_HELLO_REPLY_SIZE = 16 + PROTOCOL_INSTANCE_ID_SIZE,
	PROTOCOL_STAT_SIZE = 8 + 8 + 8 + 1 + 8 + 4 + 4 + 8,
	PROTOCOL_HOLDER_SIZE = 1 + 4
};

/*
 * The limits (PROTOCOL 8), one a line. _MOST bounds a count or a number of bytes, _DEFAULT does so
 * where an option of the server changes the bound, _MS is a time in milliseconds.
 */
#define PROTOCOL_SESSIONS_DEFAULT 1024             /* -c: sessions of a server */
#define PROTOCOL_SEGMENT_DEFAULT 268435456         /* -s: bytes of a segment */
#define PROTOCOL_SEGMENT_MOST UINT32_C(2147483648) /* bytes of a segment, with any -s */
#define PROTOCOL_SEGMENTS_DEFAULT 1073741824       /* -m: bytes of all segments of a server */
#define PROTOCOL_MEMORY_DEFAULT 268435456          /* -B: bytes of bodies, replies and tables */
#define PROTOCOL_DESCRIPTORS_MOST 1024             /* open descriptors of a session */
#define PROTOCOL_FORKS_MOST 256                    /* pending forks of a session */
#define PROTOCOL_FORKS_SERVER_MOST 16384           /* pending forks of a server */
#define PROTOCOL_FORK_GRACE_MS 60000               /* a pending fork, after its parent's session */
#define PROTOCOL_SMDISH_NAME_MOST 255              /* bytes of a name of smdish */
#define PROTOCOL_SMUF_NAME_MOST 127                /* bytes of a name of smuf */
#define PROTOCOL_SMALL_BODY_MOST 65536             /* bytes of a body, but for a lock's holder */
#define PROTOCOL_UNSENT_MOST 65536                 /* bytes of unsent replies that stop reading */
#define PROTOCOL_HANDSHAKES_MOST 256               /* TLS handshakes at a time */
#define PROTOCOL_HANDSHAKE_MS 10000                /* a TLS handshake */
#define PROTOCOL_LEASE_DELIVERY_MS 1000            /* a lease begins, after its grant */
#define PROTOCOL_GOODBYE_MS 1000                   /* the last replies, once a session is over */
#define PROTOCOL_SILENT_RECORDS_MOST 256           /* TLS records in a row that carry no data */
#define PROTOCOL_STALL_MS 10000                    /* a begun frame, without another byte */
#define PROTOCOL_RESERVATION_MS 100                /* smdish: the lock, for a client that polls */
#define PROTOCOL_RESERVED_PERCENT_MOST 10          /* of the time, of all reservations of a file */
#define PROTOCOL_POLL_INTERVAL_MS 200              /* between the polls of such a client, at most */
#define PROTOCOL_TURN_DRIFT_MS 100                 /* smuf: a free lock file that differs */
#define PROTOCOL_TURN_UNCLAIMED_MS 5000            /* smuf: a turn that its client does not LOCK */

/* The name of an operation; "?" for a number that is none. */
const char *protocol_op_name(uint32_t op);

/* True when the operation exists in that version. HELLO, which changes the version, is in both. */
bool protocol_has_op(uint32_t op, enum protocol_version version);

/* The fields of STAT, in the order of the wire. */
struct protocol_stat {
	uint64_t life;       /* random, drawn when the file was created */
	uint64_t size;       /* of the segment, bytes; 0 for a pure lock */
	uint64_t committed;  /* bytes of the segment that have memory */
	uint8_t type;        /* enum protocol_type */
	uint64_t version;    /* of the segment, that of its newest block; 0: nothing published */
	uint32_t open_count; /* descriptors, pending forks included */
	uint32_t waiters;    /* ACQUIREs that wait */
	uint64_t grants;     /* since the file was created */
};

/* How a lock is held, behind the fields of STAT. */
struct protocol_holder {
	uint8_t mode; /* PROTOCOL_FREE, PROTOCOL_EXCLUSIVE or PROTOCOL_SHARED */
	uint32_t pid; /* what the holder's client has said of itself; 0: not told, or free */
};

struct wire_reader;
struct wire_writer;

void protocol_put_stat(struct wire_writer *w, const struct protocol_stat *stat);
void protocol_get_stat(struct wire_reader *r, struct protocol_stat *stat);

void protocol_put_holder(struct wire_writer *w, const struct protocol_holder *holder);

/* A mode that is none makes r fail. */
void protocol_get_holder(struct wire_reader *r, struct protocol_holder *holder);

/*
 * The largest body that either side sends for segments of at most segment_limit bytes; at least
 * PROTOCOL_SMALL_BODY_MOST.
 */
uint32_t protocol_largest_body(uint32_t segment_limit);

#endif
