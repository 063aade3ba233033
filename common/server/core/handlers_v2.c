#include "common/server/core/handlers_v2.h"

#include <errno.h>

#include "common/base/log.h"
#include "common/server/core/claims.h"
#include "common/server/core/core.h"
#include "common/server/core/publishing.h"
#include "common/server/core/reply.h"
#include "common/server/core/request.h"

enum { IN_PLACE_PIECES = 64 }; /* of a delta that is published in one go */

int
handlers_v2_hello(struct session *s, struct request *q)
{
	const struct server_config *config = &s->server->config;
	uint32_t version = wire_get_u32(&q->body);
	struct wire_writer w;
	int error;

	wire_get_u32(&q->body); /* the client's features: none are defined */
	if (!request_is_complete(q) || s->has_begun || version == 0)
		return -EPROTO;
	if (version > PROTOCOL_VERSION_2)
		version = PROTOCOL_VERSION_2;
	error = reply_begin(s, 0, PROTOCOL_HELLO_REPLY_SIZE, &w);
	if (error != 0)
		return error;
	wire_put_u32(&w, version);
	wire_put_u32(&w,
	    PROTOCOL_FEATURE_EXTENSIONS | (config->lease_ms != 0 ? PROTOCOL_FEATURE_LEASES : 0));
	wire_put_u32(&w, SIZE_BLOCK);
	wire_put_u32(&w, protocol_largest_body((uint32_t)config->segment_limit));
	wire_put_bytes(&w, s->server->instance_id, PROTOCOL_INSTANCE_ID_SIZE);
	s->version = version;
	return 0;
}

int
handlers_v2_acquire(struct session *s, struct request *q)
{
	uint32_t fd = wire_get_u32(&q->body);
	uint8_t mode = wire_get_u8(&q->body);
	uint32_t timeout = wire_get_u32(&q->body);
	uint64_t since = wire_get_u64(&q->body);
	struct desc *d;
	int error;

	if (!request_is_complete(q))
		return -EPROTO;
	error = claims_free_tag(s, q->tag);
	if (error != 0)
		return error;
	if (mode < PROTOCOL_EXCLUSIVE || mode > PROTOCOL_UPGRADE)
		return -EINVAL;
	error = fdtable_find(&s->table, fd, &d);
	if (error != 0)
		return error;
	if (mode == PROTOCOL_UPGRADE)
		return claims_upgrade(d, q->tag, timeout, since);
	if (d->claim.state != CLAIM_IDLE)
		return -EDEADLK;
	return claims_acquire(d, q->tag, mode, timeout, since);
}

/* Ends, or shares, the grant of a RELEASE that the store has applied or refused, and replies. */
static int
end_release(struct session *s, struct desc *d, int error)
{
	uint64_t version = d->file->blocks.newest;

	if (error == 0)
		fdtable_add_version(d, version);
	if (error == 0 && (s->publishing.flags & PROTOCOL_RELEASE_KEEP))
		claims_share(d);
	else
		claims_end(d);
	if (error != 0 || (s->publishing.flags & PROTOCOL_RELEASE_ONE_WAY))
		return error;
	/* A status would say that nothing was published. */
	if (reply_u64(s, s->publishing.tag, version) != 0)
		reply_end_session(s, "no memory for a reply");
	return 0;
}

/* True when a RELEASE by d may have these flags. */
static bool
flags_are_valid(const struct desc *d, uint8_t flags)
{
	if (flags & PROTOCOL_RELEASE_KEEP)
		return (flags & ~PROTOCOL_RELEASE_ONE_WAY) == PROTOCOL_RELEASE_KEEP &&
		    d->claim.mode == PROTOCOL_EXCLUSIVE;
	return (flags & ~(PROTOCOL_RELEASE_ONE_WAY | PROTOCOL_RELEASE_UNVERIFIED)) == 0;
}

/* Checks the body of a RELEASE that publishes nothing, behind its flags. */
static int
check_empty(const struct desc *d, struct request *q)
{
	if (d->has_segment && wire_get_u32(&q->body) != 0)
		return q->body.failed ? -EPROTO : -EINVAL;
	return request_is_complete(q) ? 0 : -EPROTO;
}

/*
 * True for a delta that would take too long in one go: each piece may be another page that has to
 * be made.
 */
static bool
has_many_pieces(const struct request *q)
{
	struct wire_reader delta = q->body;

	return wire_get_u32(&delta) > IN_PLACE_PIECES;
}

/*
 * Publishes the delta of a RELEASE by the holder d, or refuses it; the grant ends either way, or is
 * shared. Returns 0, an error, or -EINPROGRESS.
 */
static int
release(struct session *s, struct desc *d, struct request *q, uint8_t flags)
{
	bool is_empty = !d->has_segment || d->claim.mode == PROTOCOL_SHARED ||
	    (flags & PROTOCOL_RELEASE_UNVERIFIED);
	int error = 0;

	if (q->body.failed)
		error = -EPROTO;
	else if (q->missing != 0)
		error = q->missing_error;
	else if (!flags_are_valid(d, flags))
		error = -EINVAL;
	else if (!is_empty && q->is_in_place && has_many_pieces(q))
		return -EINPROGRESS;
	else if (!is_empty)
		return publishing_begin(s, d, q, flags, end_release);
	else
		error = check_empty(d, q);
	s->publishing.tag = q->tag;
	s->publishing.flags = flags;
	return end_release(s, d, error);
}

static void
log_unverified(const struct session *s, const struct memfile *f)
{
	char name[LOG_ESCAPED_SIZE];

	account_warn(s->account, s->server->now,
	    "%s: blocks of %s did not verify: the host has changed them", s->peer,
	    log_escape(name, f->name, f->name_size));
}

int
handlers_v2_release(struct session *s, struct request *q)
{
	uint32_t fd = wire_get_u32(&q->body);
	uint64_t grant = wire_get_u64(&q->body);
	bool is_named = !q->body.failed;
	uint8_t flags = wire_get_u8(&q->body);
	struct desc *d;
	int error;

	/* A request that names its grant ends that grant, whatever is wrong with the rest. */
	if (!is_named)
		return -EPROTO;
	error = fdtable_find(&s->table, fd, &d);
	if (error != 0)
		return q->body.failed ? -EPROTO : error;
	if (d->claim.state != CLAIM_HELD || d->is_undelivered || d->claim.grant != grant)
		return q->body.failed ? -EPROTO : -ESTALE;
	if (flags & PROTOCOL_RELEASE_UNVERIFIED)
		log_unverified(s, d->file);
	return release(s, d, q, flags);
}

int
handlers_v2_cancel(struct session *s, struct request *q)
{
	uint32_t tag = wire_get_u32(&q->body);

	if (!request_is_complete(q))
		return -EPROTO;
	claims_cancel_tag(s, tag);
	reply_status(s, q->tag, 0);
	return 0;
}

static void
put_holder(struct wire_writer *w, const struct session *asks, const struct memfile *f)
{
	const struct desc *d = claims_holder_for(asks, f);
	struct protocol_holder holder = { .mode = PROTOCOL_FREE };

	if (d != NULL)
		holder = (struct protocol_holder){ (uint8_t)d->claim.mode, d->session->pid };
	protocol_put_holder(w, &holder);
}

/* Replies to a STAT of d. */
static int
reply_stat(struct session *s, uint16_t tag, const struct desc *d, bool with_holder)
{
	struct protocol_stat stat;
	struct wire_writer w;
	int error = reply_begin(s, tag,
	    PROTOCOL_STAT_SIZE + (with_holder ? PROTOCOL_HOLDER_SIZE : 0), &w);

	if (error != 0)
		return error;
	memfile_stat(d->file, &stat);
	protocol_put_stat(&w, &stat);
	if (with_holder)
		put_holder(&w, s, d->file);
	return 0;
}

int
handlers_v2_stat(struct session *s, struct request *q)
{
	uint32_t fd = wire_get_u32(&q->body);
	bool has_what = q->body.left > 0;
	uint32_t what = has_what ? wire_get_u32(&q->body) : PROTOCOL_STAT_HOLDER;
	struct desc *d;
	int error;

	if (!request_is_complete(q))
		return -EPROTO;
	if (what != PROTOCOL_STAT_HOLDER)
		return -EINVAL;
	error = fdtable_find(&s->table, fd, &d);
	return error != 0 ? error : reply_stat(s, q->tag, d, has_what);
}

int
handlers_v2_process(struct session *s, struct request *q)
{
	uint32_t pid = wire_get_u32(&q->body);

	if (!request_is_complete(q))
		return -EPROTO;
	s->pid = pid;
	reply_status(s, q->tag, 0);
	return 0;
}
