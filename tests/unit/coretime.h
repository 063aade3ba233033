/*
 * coretime: the time and the sessions of a server's core in a process without an event loop.
 */
#ifndef TESTS_UNIT_CORETIME_H
#define TESTS_UNIT_CORETIME_H

#include <stdint.h>

struct server;
struct session;

/*
 * Sets the server's time, *now, to then: through each of its deadlines on the way, at which its
 * timers run and settle() is called.
 */
void coretime_advance(struct server *s, uint64_t *now, uint64_t then, void (*settle)(void));

/* Makes a session of the peer of that name, which has an account by the same name. */
int coretime_session(struct session **out, struct server *s, const char *peer);

#endif
