/*
 * servers: the servers that are to be asked, and how to reach them: those of a mount file, or the
 * one at an address.
 *
 * The arguments and the mount file are the operator's own. Certificates decide which server
 * answers; without them there is plaintext, on unix sockets only, over which no server shows
 * anything.
 */
#ifndef DEPLOY_SMSTAT_SERVERS_H
#define DEPLOY_SMSTAT_SERVERS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/client/mountfile.h"
#include "common/remote/dial.h"
#include "common/wire/addr.h"

struct tls_context;

/* One server. */
struct servers_one {
	struct dial_target target;
	const char *type;        /* of its mount, "smdish" or "smuf"; NULL: not known */
	const char *certificate; /* the file with that of this client; NULL: it has none */
};

/* The files of -Z and -C, and the name that the server's certificate must have; NULL: not given. */
struct servers_keys {
	const char *ca, *certificate, *key, *crl, *name;
};

/* All zeros: there are none. */
struct servers {
	struct mountfile file;   /* what the targets point into, or this: */
	struct addr addr;        /* of the one at an address */
	struct tls_context *tls; /* for that */
	struct servers_one *at;
	size_t count;
};

/* True when text says by itself that it is an address: a scheme, or the path of a socket. */
bool servers_is_address(const char *text);

/*
 * The servers of the mount file at path, each once; point NULL, or the one that is mounted there.
 * Returns 0 or a negative errno, with a message. After a failure *s needs servers_fini(), too.
 */
int servers_load(struct servers *s, const char *path, const char *point);

/* The server at an address. Returns as servers_load(). The strings of keys must outlive *s. */
int servers_set(struct servers *s, const struct addr *address, const struct servers_keys *keys);

void servers_fini(struct servers *s);

#endif
