/*
 * reload: opens the log again, and loads the files of -Z and -C again, when SIGHUP or an operator
 * (PROTOCOL 5.6) says so or a file has changed; then ends the sessions whose certificates are
 * revoked now.
 *
 * A file that cannot be loaded leaves its old contents in use; the log says why. The host may send
 * SIGHUP and change the files at any time; that brings nothing into use that the CA has not signed.
 */
#ifndef COMMON_SERVER_RELOAD_H
#define COMMON_SERVER_RELOAD_H

struct connection_table;
struct credentials;
struct crlfile;
struct inspect_reload;

enum { RELOAD_REASON_SIZE = 512 };

/* The owner sets all but reason; the pointers outlive it. */
struct reload {
	struct credentials *credentials;
	struct crlfile *crlfile;
	struct connection_table *conns; /* gets the context of the credentials */
	const char *log_file;           /* of -l, for messages; NULL: standard error */
	char reason[RELOAD_REASON_SIZE];
};

/* Opens the log again. Returns 0 or a negative errno, with a line in the log. */
int reload_log(struct reload *r);

/* Loads everything; who begins the line that says so. *out has what came of it. */
void reload_all(struct reload *r, const char *who, struct inspect_reload *out);

/* Does what is due because files have changed; to be called after the timers have run. */
void reload_changed(struct reload *r);

#endif
