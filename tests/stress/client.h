/*
 * client: libsmclient set up for a server of a test.
 */
#ifndef TESTS_STRESS_CLIENT_H
#define TESTS_STRESS_CLIENT_H

#include "common/client/smclient.h"

struct daemon;

#define CLIENT_MOUNT "/s"

/*
 * A set with the server mounted on CLIENT_MOUNT, through a mount file that names the certificate "client"
 * when there is TLS. NULL, errno and sm_error(NULL) when that fails; calls nothing of cmocka, so that forked
 * children may use it.
 */
struct sm *client_create(const struct daemon *d);

/*
 * The same, but for another address ("unix:PATH" or "tcp:HOST:PORT"), another certificate (NULL: none) and
 * mount options (NULL: none).
 */
struct sm *client_create_as(const struct daemon *d, const char *address, const char *certificate,
    const char *options);

#endif
