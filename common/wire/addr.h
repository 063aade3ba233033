/*
 * addr: unix, abstract and TCP addresses as text.
 *
 *	/path, unix:PATH	a unix socket; with ADDR_ABSTRACT a plain path is an abstract name,
 *				zero-padded to the whole of sun_path, as Phoenix binds and connects
 *	NAME			with ADDR_RELATIVE, the same in the working directory
 *	abstract:NAME		an abstract unix socket of exactly that name
 *	pipe:NUMBER		of Phoenix: the padded abstract name /graphene/123456/%08x
 *	tcp:HOST:PORT		also tcp://HOST:PORT; an IPv6 HOST in brackets; *
 *				or nothing for HOST: every address
 *
 * Parsing resolves no names: socket.h does, when it listens or connects.
 */
#ifndef COMMON_WIRE_ADDR_H
#define COMMON_WIRE_ADDR_H

#include <sys/un.h>

enum addr_kind { ADDR_UNIX, ADDR_ABSTRACT_EXACT, ADDR_ABSTRACT_PADDED, ADDR_TCP };

enum addr_flag {
	ADDR_ABSTRACT = 1, /* a plain path names a padded abstract socket (-a) */
	ADDR_RELATIVE = 2  /* a word without a slash and without a colon is a path */
};

enum { ADDR_TEXT_SIZE = 320, ADDR_HOST_SIZE = 256, ADDR_PORT_SIZE = 32 };

struct addr {
	enum addr_kind kind;
	char name[sizeof((struct sockaddr_un *)0)->sun_path + 1]; /* path or abstract name */
	char host[ADDR_HOST_SIZE];                                /* tcp; "" for every address */
	char port[ADDR_PORT_SIZE];
	char text[ADDR_TEXT_SIZE]; /* as it was given, for messages */
};

/*
 * Parses text. Returns 0; -EINVAL when it is no address; -ENAMETOOLONG for a path that no socket
 * can have; with a message (error.h) that names it.
 */
int addr_parse(struct addr *out, const char *text, int flags);

/* Gives a unix socket's address another path, and not another text. Returns 0, or as above. */
int addr_set_path(struct addr *a, const char *path);

#endif
