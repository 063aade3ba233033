#include "common/server/crlfile.h"

#include <errno.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/libctx.h"
#include "common/crypto/tls_context.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };

void
crlfile_init(struct crlfile *f, struct timer_queue *timers)
{
	*f = (struct crlfile){ .timers = timers };
}

int
crlfile_open(struct crlfile *f, const char *path)
{
	f->path = path;
	return path == NULL ? 0 : revocations_create(&f->revocations, path);
}

void
crlfile_close(struct crlfile *f)
{
	timer_disarm(f->timers, &f->look);
	timer_disarm(f->timers, &f->expiry);
	revocations_put(f->revocations);
	f->revocations = NULL;
}

bool
crlfile_summarise(const struct crlfile *f, struct crlset_summary *out)
{
	struct libctx_step step;
	bool has_lists;

	if (f->revocations == NULL || libctx_begin_quiet(&step) != 0)
		return false;
	has_lists = revocations_summarise(f->revocations, out);
	libctx_end(&step);
	return has_lists;
}

/* Warns of lists that have expired, or have a quarter of their time left: now and once a day. */
static void
check_expiry(struct timer *t)
{
	struct crlfile *f = container_of(t, struct crlfile, expiry);
	struct crlset_summary s;
	int64_t wait = DAY_S;

	if (!crlfile_summarise(f, &s))
		return;
	if (s.seconds_left < 0)
		log_error(
		    "-C %s: the revocation list has expired: new peers are refused until a new one is there (mkpki crl)",
		    f->path);
	else if (s.seconds_left <= s.seconds / 4)
		log_warning(
		    "-C %s: the revocation list expires in %lld hours, and new peers are then refused: put a new one there (mkpki crl)",
		    f->path, (long long)(s.seconds_left / HOUR_S));
	if (s.seconds_left > s.seconds / 4)
		wait = s.seconds_left - s.seconds / 4;
	else if (s.seconds_left >= 0)
		wait = s.seconds_left + 1;
	if (wait > DAY_S)
		wait = DAY_S;
	timer_arm(f->timers, t, clock_now() + (uint64_t)wait * CLOCK_SEC, check_expiry);
}

/* Clients that have these lists refuse our own certificate. */
static void
check_own(const struct crlfile *f)
{
	if (tls_context_is_revoked(f->tls))
		log_warning(
		    "-C %s: the certificate of this server is revoked: clients with this list refuse it: make another one (mkpki server)",
		    f->path);
}

/* Other lists are in use now. */
static void
begin_to_use(struct crlfile *f)
{
	struct crlset_summary s;

	f->has_changed = true;
	if (crlfile_summarise(f, &s))
		log_info("-C %s: certificates revoked: %llu", f->path, (unsigned long long)s.count);
	check_expiry(&f->expiry);
	check_own(f);
}

static void
look(struct timer *t)
{
	struct crlfile *f = container_of(t, struct crlfile, look);
	char reason[REVOCATIONS_REASON_SIZE];
	int error = tls_context_reload_revocations(f->tls, reason);

	if (error == 0)
		begin_to_use(f);
	else if (error != -EALREADY)
		log_error("-C %s: %s; the last revocation list stays in use", f->path, reason);
	timer_arm(f->timers, t, clock_after_ms(clock_now(), CRLFILE_LOOK_MS), look);
}

int
crlfile_load(struct crlfile *f, const struct tls_context *tls)
{
	char reason[REVOCATIONS_REASON_SIZE];
	int error;

	if (f->path == NULL)
		return 0;
	f->tls = tls;
	timer_arm(f->timers, &f->look, clock_after_ms(clock_now(), CRLFILE_LOOK_MS), look);
	error = tls_context_load_revocations(tls, reason);
	if (error == 0) {
		begin_to_use(f);
		return 0;
	}
	/* The certificate may be another than before. */
	check_own(f);
	return error_message(error, "-C %s: %s", f->path, reason);
}
