/*
 * grace: a timer that would cost a peer something acts only after its session had one more turn.
 *
 * What the peer has sent in time may still lie in the socket when the timer is due: other peers had
 * their turns. So a timer that is due asks for a turn of its session first, in which the driver
 * reads what is there, and acts at the end of that turn if it is still armed. Turns in which the
 * session publishes for another request do not count: it reads nothing then.
 */
#ifndef COMMON_SERVER_CORE_GRACE_H
#define COMMON_SERVER_CORE_GRACE_H

#include <stdbool.h>
#include <stdint.h>

struct session;
struct timer;

/*
 * To be called first by the function of timer t of s. Returns true when s has had its turn: t may
 * act. Returns false otherwise, having armed t again and marked s ready. *turn is 0 before the
 * timer is due for the first time, and again after it was told to act.
 */
bool grace_is_over(struct session *s, struct timer *t, uint32_t *turn);

#endif
