/*
 * conversation: one connection of a script to a peer. It knows to which request a reply belongs,
 * and which requests have been executed.
 *
 * Statements on different connections happen in the order of the script. The core does that by
 * itself. A daemon sees several sockets at once; so before another connection goes on, those that
 * have sent something are settled: the reply to a request without effect proves that the server has
 * executed all earlier requests.
 *
 * Functions that return false leave the reason, in words, in the conversation.
 */
#ifndef TESTS_PROTOCOL_CONVERSATION_H
#define TESTS_PROTOCOL_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "tests/protocol/peer.h"
#include "tests/protocol/text.h"

enum { CONVERSATION_REASON_SIZE = 3000 };

struct conversation {
	const struct peer *peer;
	unsigned who; /* its number in the peer */
	char name[TEXT_WORD_SIZE];
	bool is_open;
	bool is_tagged; /* HELLO has settled on version 2 */
	bool is_deaf;
	bool is_paused;
	bool is_midway;    /* the last thing sent was no whole frame */
	bool is_unsettled; /* something was sent, and nothing proves that it was executed */
	uint16_t last_tag; /* of the last request */
	struct buf asked;  /* version 1: operations without a reply, a byte each, in order */
	uint8_t tagged_op[1 << 16]; /* version 2: the operation that a tag was last used for */
	uint8_t inspected;          /* what the last INSPECT was about */
	char reason[CONVERSATION_REASON_SIZE];
};

/* Connects, unless it is connected. */
bool conversation_open(struct conversation *c);

/* Closes, if it is open. */
void conversation_close(struct conversation *c);

/* Sends a request; *has_forked becomes true if it is a FORK. The connection must be open. */
bool conversation_request(struct conversation *c, struct text *t, bool *has_forked);

/* Waits for the reply that the text expects, from behind `a<`. */
bool conversation_reply(struct conversation *c, struct text *t);

/* True when the server closes or refuses a new connection at once. There must be none. */
bool conversation_is_refused(struct conversation *c);

/* Waits until the server has executed all that was sent, as far as that shows. */
void conversation_settle(struct conversation *c);

/* At the end of a test: true when no unexpected bytes have come. */
bool conversation_is_clean(struct conversation *c);

#endif
