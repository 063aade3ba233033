/*
 * storage: memory files on a store without sessions: what the tests of the stores share.
 *
 * One storage at a time. The tests move storage.now, run storage_tasks() and call the operations of
 * the store.
 */
#ifndef TESTS_UNIT_STORAGE_H
#define TESTS_UNIT_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/timer.h"
#include "common/server/core/account.h"
#include "common/server/core/memfile.h"

enum { STORAGE_SEGMENT_MOST = 1 << 30 };

struct storage {
	const struct store_ops *store;
	struct timer_queue timers;
	uint64_t now;
	struct schedule schedule;
	struct accounts accounts;
	struct account *account; /* of all files, unless the test has others */
	struct memfile_tree tree;
};

extern struct storage storage;

/* A budget that is spent from the begin: each call does the least that it can. */
extern const struct budget storage_spent;

/* Starts the store; segments may have segments bytes in all. */
void storage_begin(const struct store_ops *store, const char *directory, uint64_t segments);

/* Stops the store, once the tasks are done. All files have ended, and use nothing. */
void storage_end(void);

/* Runs the tasks until there are none. */
void storage_tasks(void);

/* Moves the time, and runs timers and tasks as they are due. */
void storage_pass_ms(uint64_t ms);

/* Gets a reference to the file of that name. */
struct memfile *storage_get(const char *name, enum protocol_version version);

/* Gets one with a segment of size bytes. */
struct memfile *storage_get_mapped(const char *name, enum protocol_version version, uint32_t size);

/*
 * Publishes body with that operation of the store, in as many calls as it takes with spent budgets.
 * Fails the test when something of it is seen before the last call returns 0, or ever when that
 * returns an error. Returns the last call's result. *calls is their number.
 */
int storage_publish(struct memfile *f,
    int (*publish)(struct memfile *, struct store_publication *, const struct budget *),
    uint64_t grant, const void *body, size_t size, unsigned *calls);

/*
 * Writes a grant, or a version 1 segment, to out, of room bytes, in pieces of random sizes. Returns
 * its size, which is checked to be the one that the cursor stated.
 */
size_t storage_grant(const struct memfile *f, uint64_t since, uint8_t *out, size_t room);
size_t storage_lock(const struct memfile *f, uint8_t *out, size_t room);

#endif
