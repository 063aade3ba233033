#include "deploy/smstat/reloading.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/escape.h"
#include "common/remote/mux.h"
#include "common/wire/inspect.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "deploy/smstat/amount.h"

enum { REQUEST_SIZE = 1 + 8, PART_SIZE = 128, REASON_MOST = 400 };

/* Says whether the certificates, and the log, were loaded. */
static const char *
describe_certificates(const struct inspect_reload *l)
{
	if ((l->failed & INSPECT_FAILED_CERTIFICATES) != 0)
		return "the old certificates stay in use";
	/* The answer does not say whether the log is a file. */
	return (l->failed & INSPECT_FAILED_LOG) != 0 ?
	    "certificates reloaded, the old log stays in use" :
	    "certificates reloaded, and the log file if there is one";
}

/* Says how many lists there are now and until when they hold, or that the old ones stay. */
static const char *
describe_lists(const struct inspect_reload *l, char out[PART_SIZE])
{
	bool is_old = (l->failed & INSPECT_FAILED_LISTS) != 0;
	char valid[AMOUNT_SIZE];

	if (l->has_lists == 0)
		return "no revocation lists (-C)";
	if (l->valid_s == 0)
		return is_old ? "the old revocation list stays in use, and has expired" :
				"the revocation list has expired: new peers are refused";
	(void)snprintf(out, PART_SIZE, "%s; %llu revoked, valid for %s; sessions that end: %lu",
	    is_old ? "the old revocation list stays in use" : "revocation list reloaded",
	    (unsigned long long)l->revoked,
	    amount_time(valid, l->valid_s > UINT64_MAX / 1000 ? UINT64_MAX : 1000 * l->valid_s),
	    (unsigned long)l->ending);
	return out;
}

static void
describe(const struct inspect_reload *l, char *out, size_t size)
{
	char lists[PART_SIZE], reason[REASON_MOST + 1];

	(void)snprintf(out, size, "%s; %s%s%s", describe_certificates(l), describe_lists(l, lists),
	    l->reason.size > 0 ? ": " : "",
	    escape_copy(reason, l->reason.data, l->reason.size, REASON_MOST));
}

static int
read_reply(struct wire_reader reply, struct inspect_reload *out)
{
	uint64_t next = wire_get_u64(&reply);
	uint32_t count = wire_get_u32(&reply);

	inspect_get_reload(&reply, out);
	return next == 0 && count == 1 && wire_is_done(&reply) ? 0 : -EPROTO;
}

int
reloading_ask(struct mux *mux, uint64_t until, char *told, size_t size, bool *is_done)
{
	struct mux_limit limit = mux_limit(mux, until);
	struct inspect_reload l;
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error != 0)
		return error;
	mux_begin_call(mux, &c, OP_INSPECT, REQUEST_SIZE, PROTOCOL_SMALL_BODY_MOST);
	mux_put_u8(mux, PROTOCOL_INSPECT_RELOAD);
	mux_put_u64(mux, 0);
	error = mux_send(mux);
	if (error == 0)
		error = mux_wait(mux, &c, limit);
	if (error == 0)
		error = read_reply(c.reply, &l);
	if (error == 0) {
		describe(&l, told, size);
		*is_done = l.failed == 0;
	}
	mux_end_call(mux, &c);
	return error;
}
