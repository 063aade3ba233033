#include "common/server/core/dispatch.h"

#include <errno.h>

#include "common/base/log.h"
#include "common/server/core/core.h"
#include "common/server/core/handlers.h"
#include "common/server/core/handlers_v1.h"
#include "common/server/core/handlers_v2.h"
#include "common/server/core/reply.h"
#include "common/server/core/request.h"
#include "common/wire/status.h"

static const struct {
	int (*handle)(struct session *s, struct request *q);
	bool needs_table; /* NEW_FDTABLE or CHILD_ATTACH has to come first */
} operations[OP_COUNT] = {
	[OP_NEW_FDTABLE] = { handlers_new_fdtable, false },
	[OP_FORK] = { handlers_fork, true },
	[OP_CHILD_ATTACH] = { handlers_child_attach, false },
	[OP_OPEN] = { handlers_open, true },
	[OP_CLOSE] = { handlers_close, true },
	[OP_LOCK] = { handlers_v1_lock, true },
	[OP_UNLOCK] = { handlers_v1_unlock, true },
	[OP_MMAP] = { handlers_mmap, true },
	[OP_HELLO] = { handlers_v2_hello, false },
	[OP_ACQUIRE] = { handlers_v2_acquire, true },
	[OP_RELEASE] = { handlers_v2_release, true },
	[OP_CANCEL] = { handlers_v2_cancel, false },
	[OP_STAT] = { handlers_v2_stat, true },
	[OP_LIST] = { handlers_v2_list, false },
};

void
dispatch_request(struct session *s, uint32_t code, struct wire_reader body, uint64_t missing)
{
	struct request q = { .body = body, .missing = missing };
	uint32_t op = code;
	int error;

	if (s->version == PROTOCOL_VERSION_2) {
		op = frame_untagged(code);
		q.tag = frame_tag(code);
	}
	if (!protocol_has_op(op, s->version))
		error = -ENOSYS;
	else if (operations[op].needs_table && !s->has_table)
		error = -EPERM;
	else
		error = operations[op].handle(s, &q);
	if (error == 0)
		return;
	log_debug("%s: %s (%lu): %s", s->peer, protocol_op_name(op), (unsigned long)op,
	    status_name(status_to_wire(error)));
	reply_status(s, q.tag, error);
}
