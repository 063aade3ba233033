#include "common/server/credentials.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/tls_context.h"
#include "common/server/options.h"

enum { EXPIRY_WARNING_DAYS = 30, EXPIRY_CHECK_MS = 24 * 3600 * 1000, DAY_S = 24 * 3600 };

void
credentials_init(struct credentials *c, const struct options *o, struct timer_queue *timers)
{
	*c = (struct credentials){ .options = o, .timers = timers };
	tls_context_ignore_system_config();
}

void
credentials_fini(struct credentials *c)
{
	timer_disarm(c->timers, &c->expiry);
	timer_disarm(c->timers, &c->look);
	tls_context_destroy(c->tls);
	c->tls = NULL;
}

/* The certificate works later: the clock of this machine may be wrong, or that of its issuer. */
static void
check_begin(const struct credentials *c)
{
	int64_t wait = tls_context_seconds_to_begin(c->tls);

	if (wait > 0)
		log_warning(
		    "the certificate %s is not valid for another %lld s: clients refuse it until then; check the clocks",
		    c->options->cert_file, (long long)wait);
}

/* A key that others may read or write is no secret, or not ours. */
static void
check_key_mode(const struct credentials *c)
{
	struct stat st;

	if (stat(c->options->key_file, &st) == 0 && (st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
		log_warning("the key %s has mode %03o, others can use it: chmod 600 %s",
		    c->options->key_file, (unsigned)st.st_mode & 0777, c->options->key_file);
}

/* Warns of a certificate that expires soon, now and once a day. */
static void
check_expiry(struct timer *t)
{
	struct credentials *c = container_of(t, struct credentials, expiry);
	int64_t left = tls_context_seconds_left(c->tls);

	if (left < 0)
		log_error("the certificate %s has expired: clients will refuse it",
		    c->options->cert_file);
	else if (left < EXPIRY_WARNING_DAYS * DAY_S)
		log_warning("the certificate %s expires in %ld days", c->options->cert_file,
		    (long)(left / DAY_S));
	timer_arm(c->timers, t, clock_after_ms(clock_now(), EXPIRY_CHECK_MS), check_expiry);
}

static int
digest_files(struct credentials *c)
{
	const struct options *o = c->options;
	const char *const paths[] = { o->ca_file, o->cert_file, o->key_file, NULL };
	uint8_t digest[FILEDIGEST_SIZE];
	int error = filedigest_get(digest, paths);

	if (error == 0 && memcmp(digest, c->digest, sizeof digest) != 0) {
		memcpy(c->digest, digest, sizeof digest);
		c->has_changed = true;
	}
	return error;
}

/* Files that cannot be read now, or are being replaced, are looked at again later. */
static void
look(struct timer *t)
{
	struct credentials *c = container_of(t, struct credentials, look);

	(void)digest_files(c);
	timer_arm(c->timers, t, clock_after_ms(clock_now(), CREDENTIALS_LOOK_MS), look);
}

/* The files could not be loaded. The same contents are tried again if they are not the reason. */
static void
note_failure(struct credentials *c, int error)
{
	if (error != -EINVAL && error != -EFBIG)
		memset(c->digest, 0, sizeof c->digest);
}

int
credentials_load(struct credentials *c)
{
	const struct options *o = c->options;
	struct tls_config config = {
		.role = TLS_SERVER,
		.ca_file = o->ca_file,
		.cert_file = o->cert_file,
		.key_file = o->key_file,
		.anonymous_clients = o->anonymous,
		.revocations = c->revocations,
	};
	char reason[TLS_REASON_SIZE];
	struct tls_context *tls;
	int error;

	if (o->ca_file == NULL)
		return 0;
	/* First: what changes while it is loaded is loaded again. */
	error = digest_files(c);
	timer_arm(c->timers, &c->look, clock_after_ms(clock_now(), CREDENTIALS_LOOK_MS), look);
	c->has_changed = false;
	/* At the start a pipe will do. Later nobody may be at its other end, and the peers wait. */
	if (c->tls != NULL && error == -ENOTSUP)
		return error_message(error, "-Z CA CERT KEY: one of them is not a regular file");
	error = tls_context_create(&tls, &config, reason);
	if (error != 0) {
		note_failure(c, error);
		return error_message(error, "-Z CA CERT KEY: %s", reason);
	}
	tls_context_destroy(c->tls);
	c->tls = tls;
	if (o->anonymous)
		log_warning(
		    "-n: clients without a certificate are accepted: the host can be a client");
	check_begin(c);
	check_key_mode(c);
	check_expiry(&c->expiry);
	return 0;
}
