/*
 * smc: what the tests of memory files without a server have in common: a directory of memory files and a key, parties
 * that have one of them open, and a segment that counts.
 *
 * A *party* is one set with one memory file open, in one process; two parties of a process share nothing but that. The
 * counter is in every block of the segment but the last, so that a release of which a part was published shows; the last
 * is zeros, but for who is to die before it has published.
 *
 * Only what says so fails the running test of cmocka; the rest may be used in forked children.
 */
#ifndef TESTS_STRESS_SMC_H
#define TESTS_STRESS_SMC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/size.h"
#include "tests/stress/client.h"
#include "tests/stress/scratch.h"

#define SMC_MOUNT "/m"

enum {
	SMC_BLOCKS = 6,                              /* that count, and one behind them, */
	SMC_SEGMENT = SMC_BLOCKS * SIZE_BLOCK + 100, /* which is short, for poison */
	SMC_PATH_SIZE = SCRATCH_PATH_SIZE + 160
};

struct smc_world {
	char dir[SCRATCH_PATH_SIZE];
	char memory[SMC_PATH_SIZE]; /* the directory of the memory files */
	char key[SMC_PATH_SIZE];    /* a key file */
};

/* Makes and removes it; fails the test when that does not work. */
void smc_world_create(struct smc_world *w);
void smc_world_destroy(struct smc_world *w);

/* A teardown for cmocka, whose setup has set *state to a world: destroys it. */
int smc_world_teardown(void **state);

/* The host's path of a memory file, or with suffix of what belongs to it; in a buffer that the next call uses again. */
const char *smc_path(const struct smc_world *w, const char *name, const char *suffix);

/* A file of size bytes, which are that one. False when that does not work. */
bool smc_write_file(const char *path, uint8_t byte, size_t size);

/* A set with the directory mounted on SMC_MOUNT; key: a key file, or NULL. Returns NULL with errno. */
struct sm *smc_mount(const struct smc_world *w, const char *key);

/*
 * Opens SMC_MOUNT/name with the world's key, and maps it unless size is 0. Returns 0 or an errno, and the party is then
 * all zeros.
 */
int smc_join(struct client *p, const struct smc_world *w, const char *name, size_t size);

/* The same with another key file, or none. */
int smc_join_as(struct client *p, const struct smc_world *w, const char *key, const char *name,
    size_t size);

/* With the lock: the counter goes up by one. */
void smc_count(uint8_t *segment);

/* With the lock: writes what nobody must ever see. */
void smc_poison(uint8_t *segment);

/* With the lock: the counter; -1 when its copies are not the same, or there is poison. */
int64_t smc_value(const uint8_t *segment);

#endif
