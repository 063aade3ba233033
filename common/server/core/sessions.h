/*
 * sessions: the sessions of a server by their keys, a red-black tree (libbsd).
 *
 * Keys are 1, 2, and so on, in the order of creation, and never used again. So INSPECT can continue
 * where it stopped, whatever has begun or ended since.
 */
#ifndef COMMON_SERVER_CORE_SESSIONS_H
#define COMMON_SERVER_CORE_SESSIONS_H

#include <bsd/sys/tree.h>
#include <stdint.h>

struct session;

RB_HEAD(session_tree, session);

struct sessions {
	struct session_tree tree;
	uint32_t count;
	uint64_t last_key;
};

/* No sessions. */
void sessions_init(struct sessions *ss);

/* Adds s and gives it its key. */
void sessions_add(struct sessions *ss, struct session *s);

void sessions_remove(struct sessions *ss, struct session *s);

/* The first session whose key is above key, or NULL. */
struct session *sessions_after(struct sessions *ss, uint64_t key);

#endif
