/*
 * crlfile: the revocation lists of -C (revocations.h): loads them, at the start, when the daemon is
 * told to, and when the file has changed; and says in the log when they are about to expire, or
 * have the daemon's own certificate.
 *
 * A file that is no good changes nothing but the log, and that once. Once the lists have expired,
 * no new peer with a certificate gets in. The host can show an old file until that time, if the
 * daemon has seen no newer one.
 */
#ifndef COMMON_SERVER_CRLFILE_H
#define COMMON_SERVER_CRLFILE_H

#include <stdbool.h>

#include "common/base/timer.h"

struct crlset_summary;
struct revocations;
struct tls_context;

enum { CRLFILE_LOOK_MS = 10 * 1000 };

struct crlfile {
	const char *path;                /* of -C; NULL: there is none */
	struct revocations *revocations; /* a reference; NULL without -C */
	const struct tls_context *tls;   /* of the last load, NULL before */
	struct timer_queue *timers;      /* look and expiry are in it */
	struct timer look;               /* for a change of the file */
	struct timer expiry;
	bool has_changed; /* other lists are in use; the owner clears it */
};

/* No file yet. timers outlive f. */
void crlfile_init(struct crlfile *f, struct timer_queue *timers);

/* The file at path, which is not read yet; path may be NULL. Returns 0 or -ENOMEM. */
int crlfile_open(struct crlfile *f, const char *path);

/* Also for a file that was not opened. Connections that use its revocations have ended. */
void crlfile_close(struct crlfile *f);

/*
 * Loads the lists, with the CAs of tls, which lives until the next load; does nothing without -C.
 * Returns 0, or a negative errno with a message (error.h); the lists in use are then those of
 * before. From then on f looks for changes by itself, and sets has_changed at most CRLFILE_LOOK_MS
 * after other lists have come.
 */
int crlfile_load(struct crlfile *f, const struct tls_context *tls);

/* Tells of the lists in use. Returns false when there are none. */
bool crlfile_summarise(const struct crlfile *f, struct crlset_summary *out);

#endif
