/*
 * coretime: the time and the sessions of a server's core in a process without an event loop.
 */
#ifndef TESTS_UNIT_CORETIME_H
#define TESTS_UNIT_CORETIME_H

#include <stdbool.h>
#include <stdint.h>

struct server;
struct session;

/*
 * Sets the server's time, *now, to then: through each of its deadlines on the way, at which its
 * timers run and settle() is called.
 */
void coretime_advance(struct server *s, uint64_t *now, uint64_t then, void (*settle)(void));

/* The time that every budget has used up: pieces of work are the smallest. */
uint64_t coretime_spent(void);

/* A turn of s, in the smallest piece. Returns true when s has more work. */
bool coretime_turn(struct session *s);

/* Lets so many milliseconds pass, and a nanosecond, at the end of which the timers run. */
void coretime_pass(struct server *s, uint64_t *now, uint64_t ms);

/* Makes a session of the peer of that name, which has an account by the same name. */
int coretime_session(struct session **out, struct server *s, const char *peer);

#endif
