/*
 * request: a request as its handler sees it. One that returns -EINPROGRESS has changed nothing, or
 * publishes (publishing.h): the body is kept, and the handler is called again in another turn.
 *
 * The body is valid until the handler returns. Of a body that the session did not keep whole
 * (session.h) the reader has the beginning only, which is enough for the fixed fields of every
 * operation, and missing is not 0.
 */
#ifndef COMMON_SERVER_CORE_REQUEST_H
#define COMMON_SERVER_CORE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/wire.h"

struct budget;

struct request {
	uint16_t tag; /* 0 in version 1 */
	struct wire_reader body;
	uint64_t missing;            /* bytes of the body that were discarded */
	int missing_error;           /* why: -EINVAL, too large for its session; -ENOMEM */
	bool is_late;                /* it has waited for memory long enough: not again */
	bool is_in_place;            /* the body was not kept: all has to be done in this turn */
	const struct budget *budget; /* of the turn */
};

/* True when the body was read to its end, and no further. */
static inline bool
request_is_complete(const struct request *q)
{
	return q->missing == 0 && wire_is_done(&q->body);
}

#endif
