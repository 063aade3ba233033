/*
 * dispatch: from the code of a request to the handler that executes it.
 *
 * Two checks of PROTOCOL 3.2 are here: an operation that the session's version does not have is
 * ENOSYS, one that needs a table of descriptors is EPERM before NEW_FDTABLE or CHILD_ATTACH. The
 * check before them, EMSGSIZE, is the session's; those after them are the handler's.
 */
#ifndef COMMON_SERVER_CORE_DISPATCH_H
#define COMMON_SERVER_CORE_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

struct request;
struct session;

/*
 * Executes the request with that code, as its frame has it, and replies with a status if its
 * handler did not reply; or goes on with it. The fields of q but tag are set. Returns false when
 * the request has not ended: the caller calls again, with the same code and body.
 */
bool dispatch_request(struct session *s, uint32_t code, struct request *q);

#endif
