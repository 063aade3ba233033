/*
 * smc: a directory of memory files without a server, with a key, and a segment that counts.
 *
 * A *world* is the directory and the key; clients that join it share nothing else, also within one
 * process. The counter is in every block of the segment but the last, so that a partly published
 * release shows. The last block is zeros, except in the replica of a process that dies before it
 * publishes.
 *
 * The functions that fail the running test say so; forked children may call all others.
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
	SMC_BLOCKS = 6,                              /* blocks that count, and one after them, */
	SMC_SEGMENT = SMC_BLOCKS * SIZE_BLOCK + 100, /* which is short, for poison */
	SMC_PATH_SIZE = SCRATCH_PATH_SIZE + 160
};

struct smc_world {
	char dir[SCRATCH_PATH_SIZE];
	char memory[SMC_PATH_SIZE]; /* the directory of the memory files */
	char key[SMC_PATH_SIZE];    /* a key file */
	const char *locks;          /* of this process's mounts: locks=; NULL: without */
};

/* Makes and removes a world; fails the test on an error. */
void smc_world_create(struct smc_world *w);
void smc_world_destroy(struct smc_world *w);

/* A teardown for cmocka: destroys *state, which the setup has set to a world. */
int smc_world_teardown(void **state);

/*
 * Returns the host's path of a memory file, or with a suffix that of another file of it, in a
 * buffer that the next call overwrites.
 */
const char *smc_path(const struct smc_world *w, const char *name, const char *suffix);

/* Writes a file of size bytes of that value. False on an error. */
bool smc_write_file(const char *path, uint8_t byte, size_t size);

/*
 * Returns a set with the directory mounted on SMC_MOUNT, or NULL with errno. key: a key file, or
 * NULL.
 */
struct sm *smc_mount(const struct smc_world *w, const char *key);

/*
 * Opens SMC_MOUNT/name with the world's key, and maps it unless size is 0. Returns 0, or an errno
 * with *p closed.
 */
int smc_join(struct client *p, const struct smc_world *w, const char *name, size_t size);

/* The same with another key file, or none. */
int smc_join_as(struct client *p, const struct smc_world *w, const char *key, const char *name,
    size_t size);

/* With the lock: increments the counter. */
void smc_count(uint8_t *segment);

/* With the lock: writes a value that no process may ever see. */
void smc_poison(uint8_t *segment);

/* With the lock: returns the counter; -1 when its copies differ or there is poison. */
int64_t smc_value(const uint8_t *segment);

#endif
