/*
 * client: libsmclient in a test: a set with a server mounted, and with one memory file open.
 *
 * Nothing here calls cmocka, so that forked children may use it, except client_expect_open().
 */
#ifndef TESTS_STRESS_CLIENT_H
#define TESTS_STRESS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/smclient.h"

struct daemon;

#define CLIENT_MOUNT "/s"

/* One set with one memory file open. All zeros: closed. */
struct client {
	struct sm *sm;
	struct sm_file *file;
	union {
		uint8_t *segment; /* NULL: not mapped */
		uint64_t *words;
	};
};

/*
 * A set with the server mounted on CLIENT_MOUNT, through a mount file that names the certificate
 * "client" when there is TLS. Returns NULL with errno and sm_error(NULL) on failure.
 */
struct sm *client_create(const struct daemon *d);

/*
 * The same, but for another address ("unix:PATH" or "tcp:HOST:PORT"), another certificate (NULL:
 * none) and mount options (NULL: none).
 */
struct sm *client_create_as(const struct daemon *d, const char *address, const char *certificate,
    const char *options);

/*
 * Opens the file at path in c->sm, and maps size bytes of it unless size is 0. Returns false with
 * errno and sm_error(c->sm) on failure, also when c->sm is NULL; the caller closes c all the same.
 */
bool client_open_file(struct client *c, const char *path, size_t size);

/* client_create() and client_open_file(). */
bool client_open(struct client *c, const struct daemon *d, const char *path, size_t size);

/* The same; fails the test on failure. */
void client_expect_open(struct client *c, const struct daemon *d, const char *path, size_t size);

/* client_open() of a file that no other call of this program opens. */
bool client_open_new(struct client *c, const struct daemon *d, size_t size);

/* Frees the set. Also for one that is closed. */
void client_close(struct client *c);

/* sm_timedlock() with a deadline ms milliseconds from now. Returns 0 or an errno. */
int client_lock_for(struct client *c, uint64_t ms);

/* The same with milliseconds of a plain build: for a lock that should be granted. */
int client_lock_within(struct client *c, uint64_t ms);

/*
 * Waits until another client waits for the lock of the file. Returns false, with errno, when the
 * server does not say so in time.
 */
bool client_await_waiter(struct client *c);

#endif
