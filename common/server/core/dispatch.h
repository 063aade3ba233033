/*
 * dispatch: from the code of a request to the handler that executes it.
 *
 * Two checks of PROTOCOL 3.2 are here: an operation that the session's version does not have is
 * ENOSYS, one that needs a table of descriptors is EPERM before NEW_FDTABLE or CHILD_ATTACH. The
 * check before them, EMSGSIZE, is the session's; those after them are the handler's.
 */
#ifndef COMMON_SERVER_CORE_DISPATCH_H
#define COMMON_SERVER_CORE_DISPATCH_H

#include <stdint.h>

#include "common/wire/wire.h"

struct session;

/*
 * Executes the request with that code, as its frame has it, and replies with a status if its
 * handler did not reply. body has the first bytes of the body; missing more bytes of it were
 * discarded.
 */
void dispatch_request(struct session *s, uint32_t code, struct wire_reader body, uint64_t missing);

#endif
