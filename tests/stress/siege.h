/*
 * siege: a server under attack, and the honest clients that must not notice.
 *
 * One honest client is connected all the time and has a counter in a segment; another one comes after
 * every attack. siege_lift() proves that an attack has changed nothing: both are served and find the
 * counter where it was, the server has as many descriptors as before and no more memory, and it has
 * logged one line for each peer that it had to get rid of, with the peer and the reason, and no other.
 */
#ifndef TESTS_STRESS_SIEGE_H
#define TESTS_STRESS_SIEGE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/procfs.h"

/* Resident memory that may differ: what the allocator keeps, and pages the warm-up has not touched. */
enum {
	SIEGE_TOLERANCE = 1024 * 1024,
	SIEGE_CONNECTION = 128 * 1024, /* of one that is open: TLS reads 64 KiB ahead */
	SIEGE_SEGMENT = 64 * 1024
};

#define SIEGE_FILE CLIENT_MOUNT "/honest"

struct siege {
	struct daemon daemon;
	struct client client;       /* the one that stays; words[0] is the counter */
	uint64_t expected;          /* its value */
	struct procfs_usage start;  /* what the server used after the warm-up */
	struct procfs_usage before; /* when the attack began */
	size_t mark;                /* of the log, then */
};

/* Starts the server, connects the honest client, warms up. */
void siege_begin(struct siege *s, const struct daemon_config *config);

/* After all attacks: the server's memory is what it was before them; it is stopped and exits with 0. */
void siege_end(struct siege *s);

/* For a teardown, whatever went wrong: nothing is left. */
void siege_fini(struct siege *s);

/* Fixtures of cmocka, of a group and of a test that is an attack; *state is a siege. */
int siege_teardown(void **state);
int siege_attack_setup(void **state);
int siege_attack_teardown(void **state);

#define SIEGE_ATTACK(f) \
	cmocka_unit_test_setup_teardown(f, siege_attack_setup, siege_attack_teardown)

/* An attack begins. */
void siege_attack(struct siege *s);

/* The client that stays adds one to its counter. */
void siege_serve(struct siege *s);

/* Fails if the server's memory was ever more than size bytes above what it was when the attack began. */
void siege_expect_peak(const struct siege *s, int64_t size);

/*
 * The attackers are gone, or still there as far as the connections say, whose number is given. The server got
 * rid of closed of them, each with a line that has the reason.
 */
void siege_lift(struct siege *s, int64_t connections, unsigned closed, const char *reason);

#endif
