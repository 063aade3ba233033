/*
 * peer: one connection to the daemon, with the requests that it has not heard of yet.
 *
 * Nothing here waits. Frames go into a queue and from there into the socket as far as it takes
 * them; bytes that come are cut into replies, and each reply is matched with its request: by tag in
 * version 2, in order in version 1. The rules of PROTOCOL 1 and PROTOCOL 5.3 are checked: only a
 * waiting ACQUIRE is overtaken, and a one-way RELEASE has succeeded when a later request is
 * answered.
 */
#ifndef TESTS_FAULTS_PEER_H
#define TESTS_FAULTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"

struct verdict;

enum { PEER_REQUESTS = 64, PEER_DESCS = 8 };

/* A request that was sent and not answered. */
struct peer_request {
	uint16_t tag;
	uint32_t op;
	uint32_t fd;
	int file;       /* OPEN: of the name */
	uint8_t mode;   /* ACQUIRE */
	uint64_t since; /* ACQUIRE */
	uint32_t size;  /* MMAP */
	unsigned patch; /* RELEASE, UNLOCK: its serial, 0 for none */
	int patch_file; /* of that patch */
	int fork;       /* CHILD_ATTACH: the number of the ident, -1 for a wrong one */
	uint64_t kept;  /* RELEASE: the grant that it keeps, shared; 0: none */
	bool has_delta; /* of that grant */
	bool is_one_way;
	bool may_have_ended; /* ACQUIRE, LOCK: something sent later may have ended the grant */
	bool is_taken_back;  /* ACQUIRE, an upgrade: a CANCEL follows, the lock will be shared */
	unsigned watch;      /* its number among those of all peers, 0 for a ping */
	bool is_odd;         /* its body does not fit the operation */
};

/* A descriptor, as the replies tell. */
struct peer_desc {
	int file; /* -1: not open */
	uint8_t *replica;
	uint64_t version; /* of the replica */
};

struct peer {
	int fd; /* -1: there is no connection */
	int number;
	uint32_t version; /* that it speaks */
	bool has_begun;   /* something was sent */
	bool is_wild;     /* it has sent bytes that are no frames: its replies mean nothing */
	bool is_shut;     /* it has shut down its sending side */
	bool is_lazy;     /* it does not read */
	bool is_halting;  /* the queue keeps its last halt bytes back */
	size_t halt;
	uint16_t last_tag;
	struct buf out, in;
	struct peer_request requests[PEER_REQUESTS]; /* the oldest first */
	unsigned count;
	struct peer_desc descs[PEER_DESCS];
};

void peer_init(struct peer *p, int number);

/* Gives it the socket of a new connection. */
void peer_begin(struct peer *p, int fd);

/* Closes the connection and forgets its requests and descriptors. */
void peer_close(struct peer *p);

/* Forgets what is known of a descriptor, or of all. */
void peer_forget_desc(struct peer_desc *d);
void peer_forget_table(struct peer *p);

/* True when one more request can be sent. */
bool peer_can_ask(const struct peer *p);

/* Queues a request; q->tag and, for a HELLO that comes first, p->version are set here. */
void peer_ask(struct peer *p, struct peer_request *q, const void *body, size_t size);

/* Queues bytes that are no frames. */
void peer_garble(struct peer *p, const void *data, size_t size);

/* Sends what the socket takes. The end of the connection shows when reading. */
void peer_flush(struct peer *p);

/* Reads what has come. False when the connection has ended; p->in may have replies even then. */
bool peer_receive(struct peer *p);

/*
 * Takes the next whole reply from p->in and the request that it answers from p->requests. *body is
 * valid until the next call. accepted is called for each one-way RELEASE that the reply confirms.
 * False when there is none; a reply that breaks the protocol goes into the verdict.
 */
bool peer_next_reply(struct peer *p, struct peer_request *q, uint32_t *status,
    struct wire_reader *body, void (*accepted)(void *context, const struct peer_request *q),
    void *context, struct verdict *v);

/* True when a request is unanswered that has to be answered at once. */
bool peer_is_owed(const struct peer *p);

#endif
