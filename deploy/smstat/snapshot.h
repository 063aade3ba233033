/*
 * snapshot: all that a server says of itself, its memory files and its sessions at one time, asked
 * for with INSPECT, page by page (PROTOCOL 5.6).
 *
 * A server may say anything. A snapshot has the numbers as they came, and names that point into
 * copies of its pages; but its files and its sessions have keys that rise, so they can be searched,
 * and there is memory only for records that have come whole. A server that lists without an end is
 * stopped at SNAPSHOT_PAGES_MOST pages.
 */
#ifndef DEPLOY_SMSTAT_SNAPSHOT_H
#define DEPLOY_SMSTAT_SNAPSHOT_H

#include <bsd/sys/queue.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/inspect.h"

struct mux;

enum { SNAPSHOT_PAGES_MOST = 16384 }; /* 1 GiB */

struct snapshot_page;

SLIST_HEAD(snapshot_pages, snapshot_page);

struct snapshot {
	uint64_t taken; /* when its files were asked for, of clock_now() */
	struct inspect_server server;
	struct inspect_file *files; /* by key, as the sessions */
	size_t file_count, file_room;
	struct inspect_session *sessions;
	size_t session_count, session_room;
	struct snapshot_pages pages;
	size_t page_count;
};

/*
 * Asks the server behind mux until that time, and a second longer for each MiB that comes. Returns
 * 0; -ENOSYS, the server shows nothing to this client; -EPROTO; -EMSGSIZE, it does not end;
 * -ENOMEM; or see mux_wait(). After a failure but -ENOSYS the connection has ended.
 */
int snapshot_take(struct snapshot **out, struct mux *mux, uint64_t until);

/* Takes NULL. */
void snapshot_destroy(struct snapshot *s);

/* The file or the session with that key; NULL when there is none. */
const struct inspect_file *snapshot_file(const struct snapshot *s, uint64_t key);
const struct inspect_session *snapshot_session(const struct snapshot *s, uint64_t key);

#endif
