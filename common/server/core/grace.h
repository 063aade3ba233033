/*
 * grace: a timer that would cost a peer something acts only after its session had one more turn.
 *
 * What the peer has sent in time may still lie in the socket when the timer is due: other peers had
 * their turns. So a timer that is due asks for a turn of its session first, in which the driver
 * reads what is there, whether or not it was told of it (session_must_look()), and acts at the end
 * of that turn if it is still armed. While the session publishes it reads nothing: turns of a
 * publication that began by the turn asked for do not count. Those of later ones do, or a peer that
 * publishes without a pause would put the timer off without end.
 */
#ifndef COMMON_SERVER_CORE_GRACE_H
#define COMMON_SERVER_CORE_GRACE_H

#include <stdbool.h>
#include <stdint.h>

struct session;
struct timer;

/* Of a timer. In turns of its session that have ended. */
struct grace {
	bool is_due;  /* the timer has been due, and has not acted; false at first */
	uint32_t due; /* when it was due for the first time */
	uint32_t end; /* when it may act */
};

/*
 * To be called first by the function of timer t of s. Returns true when s has had its turn: t may
 * act. Returns false otherwise, having armed t again and marked s ready. is_due is to be set to
 * false when the timer is armed for another end.
 */
bool grace_is_over(struct session *s, struct timer *t, struct grace *g);

#endif
