/*
 * attacker: how the attackers of a test connect, and what they count.
 *
 * For attacks, in their process: a failure ends it and fails the test. Without a certificate an
 * attacker is another peer than the honest clients: over TCP by its address, over the unix socket
 * by its user.
 */
#ifndef TESTS_HOSTILE_ATTACKER_H
#define TESTS_HOSTILE_ATTACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/stress/raw.h"

struct daemon;
struct rig;

#define ATTACKER_ADDRESS "127.0.0.2" /* the honest clients' is another one */

enum { ATTACKER_UID = 65534 };

/*
 * Connects over TCP from ATTACKER_ADDRESS. Returns a blocking, close-on-exec descriptor, or a
 * negative errno.
 */
int attacker_dial(const struct daemon *d);

/* The same, and counts the connection. */
int attacker_dial_tcp(struct rig *r);

/* The same to the unix socket, as ATTACKER_UID. Needs root. */
int attacker_dial_unix(struct rig *r);

/* Connects over TCP, and makes the handshake with RIG_ATTACKER_CERTIFICATE. False when refused. */
bool attacker_connect(struct rig *r, struct raw *c);

/* The same over the unix socket, and begins a session of version 2; fails the test if refused. */
void attacker_begin(struct rig *r, struct raw *c);

/*
 * Opens a file and publishes all of its segment, so that each grant of it from version 0 is a
 * reply of about that many bytes, a block's more or less. Returns its descriptor; *grant is the
 * file's last grant.
 */
uint32_t attacker_open_loud(struct rig *r, struct raw *c, const char *name, uint32_t bytes,
    uint64_t *grant);

/* Appends to b an ACQUIRE from version 0, which waits, and a RELEASE of grant, which is one-way. */
void attacker_put_loud(struct buf *b, uint16_t tag, uint32_t fd, uint64_t grant);

/*
 * Complains unless the server sleeps for a fifth of one of the next looks, of ms milliseconds
 * each, as the honest clients let it. Waiting for a processor is no sleep: a busy machine gets more
 * looks.
 */
void attacker_expect_calm_server(struct rig *r, uint64_t ms);

/* Makes the next step of a handshake with RIG_ATTACKER_CERTIFICATE. 1: done, 0: waits, -1: over. */
int attacker_step(struct rig *r, struct raw *c);

/* Counts the connection as one that the server has ended. */
void attacker_count_ended(struct rig *r);

#endif
