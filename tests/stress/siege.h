/*
 * siege: a server under attack, and the honest clients that must not notice.
 *
 * One honest client is connected all the time and has a counter in a segment; another one connects
 * after every attack. siege_lift() proves that an attack has changed nothing: the server serves
 * both, they find the counter unchanged, the server has as many descriptors as before and no more
 * memory, and it has logged one line for each peer that it disconnected, with the peer and the
 * reason, and no other.
 */
#ifndef TESTS_STRESS_SIEGE_H
#define TESTS_STRESS_SIEGE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/procfs.h"

/* Tolerated resident memory: kept by the allocator, or pages that the warm-up has not touched. */
enum {
	SIEGE_TOLERANCE = 1024 * 1024,
	SIEGE_CONNECTION = 128 * 1024, /* of an open one: the buffers of OpenSSL and of tls_bio */
	SIEGE_SEGMENT = 64 * 1024
};

#define SIEGE_ANY UINT32_MAX

#define SIEGE_FILE CLIENT_MOUNT "/honest"

struct siege {
	struct daemon daemon;
	struct client client;       /* connected all the time; words[0] is the counter */
	uint64_t expected;          /* its value */
	struct procfs_usage start;  /* the server's, after the warm-up */
	struct procfs_usage before; /* the server's, when the attack began */
	size_t mark;                /* of the log, when the attack began */
	unsigned told;              /* lines that all attacks have caused, withheld ones included */
};

/* Starts the server, connects the honest client, warms up. */
void siege_begin(struct siege *s, const struct daemon_config *config);

/*
 * After all attacks: checks that the server's memory is what it was before them, stops the server,
 * and checks that it exits with 0.
 */
void siege_end(struct siege *s);

/* For a teardown, also of a failed test: leaves nothing. */
void siege_fini(struct siege *s);

/* Fixtures for cmocka, of a group and of a test that is an attack; *state is a siege. */
int siege_teardown(void **state);
int siege_attack_setup(void **state);
int siege_attack_teardown(void **state);

#define SIEGE_ATTACK(f) \
	cmocka_unit_test_setup_teardown(f, siege_attack_setup, siege_attack_teardown)

/* Begins an attack. */
void siege_attack(struct siege *s);

/* The connected client adds one to its counter. */
void siege_serve(struct siege *s);

/*
 * Fails the test if the server's memory was ever more than size bytes above its size when the
 * attack began.
 */
void siege_expect_peak(const struct siege *s, int64_t size);

/*
 * Ends an attack; that many connections of the attackers are still open. The server has
 * disconnected closed of them, and logged a line with the reason for each, but for those that the
 * limit of lines about one peer withholds (loglimit.h). SIEGE_ANY: the log does not matter.
 */
void siege_lift(struct siege *s, int64_t connections, unsigned closed, const char *reason);

#endif
