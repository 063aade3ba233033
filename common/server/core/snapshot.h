/*
 * snapshot: the descriptors that a table had at a FORK, shared by all pending forks that found the
 * same.
 *
 * A snapshot never changes. A FORK shares the one of the FORK before if the table still has the
 * same numbers, files and versions; it compares all of them, so that nothing has to note changes.
 * The versions count as well: a child that names its parent's newest version as `since` is to get
 * what changed after it, not the whole segment, and PROTOCOL 6 promises that. Where they differ,
 * sharing would save little: an OPEN between two FORKs ends the sharing anyway, so the bound on
 * memory is the account's.
 *
 * Each reference counts in every file of the snapshot, as an open descriptor does: what STAT says
 * does not depend on who shares. So getting and putting one takes a step a descriptor, at most
 * PROTOCOL_DESCRIPTORS_MOST short ones.
 */
#ifndef COMMON_SERVER_CORE_SNAPSHOT_H
#define COMMON_SERVER_CORE_SNAPSHOT_H

#include <stdint.h>

#include "common/server/core/fdtable.h"

struct snapshot_desc {
	struct memfile *file; /* as many references as the snapshot has */
	uint64_t versions[DESC_VERSION_COUNT];
	uint32_t fd;
	uint8_t next_version;
};

struct snapshot {
	struct account *account; /* a reference; charged with the bytes (ACCOUNT_MEMORY) */
	uint32_t references;
	uint32_t count;
	struct snapshot_desc descs[]; /* count of them, ascending */
};

/*
 * Gets a reference to a snapshot of t: to last, if that shows what t has now, else to a new one,
 * charged to the account of t. last may be NULL. Returns 0 or -ENOMEM.
 */
int snapshot_get(struct snapshot *last, const struct fdtable *t, struct snapshot **out);

/*
 * Puts a reference; the snapshot ends with the last one. A file that ends is gone at once, and
 * destroyed by a task (memfile_put_later()).
 */
void snapshot_put(struct snapshot *s);

/*
 * Opens the descriptors of s in t, an empty table, for session, with idle claims. They take over
 * the references to the files; the caller's reference to s ends. Returns 0, or -ENOMEM: t is empty
 * then, and the reference is still the caller's.
 */
int snapshot_restore(struct snapshot *s, struct session *session, struct fdtable *t);

#endif
