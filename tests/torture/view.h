/*
 * view: the mappings of a process. A view is a mapping, which all handles of the memory file have
 * in common, in all threads. It goes and comes again while the process has the file open: its
 * address is NULL in between, and no thread reads the address before it has the lock, which keeps
 * the mapping.
 */
#ifndef TESTS_TORTURE_VIEW_H
#define TESTS_TORTURE_VIEW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct actor;
struct sm;
struct sm_file;

enum { VIEWS_MOST = 8 };

struct view {
	unsigned users;             /* handles */
	_Atomic(uint8_t *) address; /* NULL: not mapped now */
};

struct views {
	struct sm *sm;
	pthread_mutex_t lock; /* held around sm_map() and sm_unmap() */
	struct view table[VIEWS_MOST];
};

/* A handle's part. */
struct view_user {
	struct sm_file *file;
	uint32_t size; /* of the segment */
	bool is_inherited;
	_Atomic(struct view *) view; /* NULL: not mapped yet */
};

/* No views; also in a forked child, whose users are to have none. */
void view_init(struct views *v, struct sm *sm);

/* The address, with the lock; NULL: not mapped now. */
uint8_t *view_segment(const struct view_user *u);

/* Maps the segment. Returns true when the handle is lost. */
bool view_get(struct actor *a, struct views *v, struct view_user *u);

/*
 * Ends the mapping and maps the segment again, unless the process uses the lock. Returns true when
 * the handle is lost.
 */
bool view_get_again(struct actor *a, struct views *v, struct view_user *u);

/* The handle is closed; so ends the mapping, if it was the last one. */
void view_put(struct actor *a, struct views *v, struct view_user *u);

#endif
