#include "common/server/core/dispatch.h"

#include <errno.h>

#include "common/base/log.h"
#include "common/server/core/core.h"
#include "common/server/core/handlers.h"
#include "common/server/core/handlers_inspect.h"
#include "common/server/core/handlers_v1.h"
#include "common/server/core/handlers_v2.h"
#include "common/server/core/publishing.h"
#include "common/server/core/reply.h"
#include "common/server/core/request.h"
#include "common/wire/status.h"

static const struct {
	int (*handle)(struct session *s, struct request *q);
	bool needs_table;    /* NEW_FDTABLE or CHILD_ATTACH has to come first */
	bool needs_operator; /* it does not exist for other peers */
} operations[OP_COUNT] = {
	[OP_NEW_FDTABLE] = { handlers_new_fdtable, false, false },
	[OP_FORK] = { handlers_fork, true, false },
	[OP_CHILD_ATTACH] = { handlers_child_attach, false, false },
	[OP_OPEN] = { handlers_open, true, false },
	[OP_CLOSE] = { handlers_close, true, false },
	[OP_LOCK] = { handlers_v1_lock, true, false },
	[OP_UNLOCK] = { handlers_v1_unlock, true, false },
	[OP_MMAP] = { handlers_mmap, true, false },
	[OP_HELLO] = { handlers_v2_hello, false, false },
	[OP_ACQUIRE] = { handlers_v2_acquire, true, false },
	[OP_RELEASE] = { handlers_v2_release, true, false },
	[OP_CANCEL] = { handlers_v2_cancel, false, false },
	[OP_STAT] = { handlers_v2_stat, true, false },
	[OP_INSPECT] = { handlers_inspect, false, true },
	[OP_OPEN2] = { handlers_open2, true, false },
	[OP_PROCESS] = { handlers_v2_process, false, false },
};

static int
execute(struct session *s, uint32_t op, struct request *q)
{
	if (publishing_is_active(s))
		return publishing_continue(s, q->budget);
	if (!protocol_has_op(op, s->version))
		return -ENOSYS;
	if (operations[op].needs_operator && !s->is_operator)
		return -ENOSYS;
	if (operations[op].needs_table && !s->has_table)
		return -EPERM;
	return operations[op].handle(s, q);
}

bool
dispatch_request(struct session *s, uint32_t code, struct request *q)
{
	uint32_t op = code;
	int error;

	q->tag = 0;
	if (s->version == PROTOCOL_VERSION_2) {
		op = frame_untagged(code);
		q->tag = frame_tag(code);
	}
	error = execute(s, op, q);
	if (error == -EINPROGRESS)
		return false;
	if (error == 0)
		return true;
	log_debug("%s: %s (%lu): %s", s->peer, protocol_op_name(op), (unsigned long)op,
	    status_name(status_to_wire(error)));
	reply_status(s, q->tag, error);
	return true;
}
