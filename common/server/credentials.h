/*
 * credentials: the TLS context of -Z, with a log line a day once its certificate is about to
 * expire.
 *
 * Connections keep the context that they began with when it is loaded again. That happens on
 * SIGHUP, and when the files have changed: in a library OS no signal but SIGTERM comes in.
 */
#ifndef COMMON_SERVER_CREDENTIALS_H
#define COMMON_SERVER_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/timer.h"
#include "common/crypto/filedigest.h"

struct options;
struct revocations;
struct tls_context;

enum { CREDENTIALS_LOOK_MS = 10 * 1000 };

struct credentials {
	const struct options *options;
	struct revocations *revocations; /* for the context; NULL: none. The owner's, to be set */
	struct tls_context *tls;         /* NULL without -Z, and before the first load */
	struct timer_queue *timers;      /* expiry and look are in it */
	struct timer expiry;
	struct timer look;               /* for a change of the files */
	uint8_t digest[FILEDIGEST_SIZE]; /* of the files when last loaded, or looked at; or zeros */
	bool has_changed;                /* the owner calls credentials_load() */
};

/* No credentials; o and timers outlive c. To be called before anything else of OpenSSL is. */
void credentials_init(struct credentials *c, const struct options *o, struct timer_queue *timers);

/* Also for credentials that are all zeros. */
void credentials_fini(struct credentials *c);

/*
 * Loads the files of -Z and sets c->tls; does nothing without -Z. Returns 0, or a negative errno
 * with a message (error.h); c->tls is then as it was. Logs a warning of a certificate that clients
 * refuse, and of a key that others may read. Clears c->has_changed, which is set again at most
 * CREDENTIALS_LOOK_MS after the contents of these files have changed, or after a failure that the
 * contents are not the reason for, such as -EMFILE.
 */
int credentials_load(struct credentials *c);

#endif
