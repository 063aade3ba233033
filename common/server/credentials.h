/*
 * credentials: the TLS context of -Z, with a log line a day once its certificate is about to
 * expire.
 *
 * Connections keep the context that they began with when it is loaded again.
 */
#ifndef COMMON_SERVER_CREDENTIALS_H
#define COMMON_SERVER_CREDENTIALS_H

#include "common/base/timer.h"

struct options;
struct tls_context;

struct credentials {
	const struct options *options;
	struct tls_context *tls;    /* NULL without -Z, and before the first load */
	struct timer_queue *timers; /* expiry is in it */
	struct timer expiry;
};

/* No credentials; o and timers outlive c. To be called before anything else of OpenSSL is. */
void credentials_init(struct credentials *c, const struct options *o, struct timer_queue *timers);

/* Also for credentials that are all zeros. */
void credentials_fini(struct credentials *c);

/*
 * Loads the files of -Z and sets c->tls; does nothing without -Z. Returns 0, or a negative errno,
 * which is logged; c->tls is then as it was.
 */
int credentials_load(struct credentials *c);

#endif
