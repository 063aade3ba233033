/*
 * remotefile_core: what the files that make up remotefile share: remotefile.c (open, close, map, stat), remotefile_acquire.c,
 * remotefile_release.c. Everybody else includes remotefile.h.
 */
#ifndef COMMON_REMOTE_REMOTEFILE_CORE_H
#define COMMON_REMOTE_REMOTEFILE_CORE_H

#include "common/base/container.h"
#include "common/remote/remotefile.h"

static inline struct remotefile *
remotefile_of(struct backend_file *f)
{
	return container_of(f, struct remotefile, base);
}

/* Makes sure that the connection is this process's, and knows f. */
int remotefile_attach(struct remotefile *f);

/*
 * The failure of the last release, if it has come: the replica was void since then. For who has the file's lock.
 * Returns 0 or a negative errno; *was_reported: somebody was told already.
 */
int remotefile_take_failure(struct remotefile *f, bool *was_reported);

/* Begins a sender's turn for f. */
int remotefile_become_sender(struct remotefile *f, enum op op, uint64_t deadline);

/* Ends a call for who has the file's lock: the result is error, which op had, or the failure of the release before. */
int remotefile_end_call(struct remotefile *f, struct mux_call *c, enum op op, int error);

/* A grant that cannot be used, or is not wanted any more. The caller has an error to tell already. */
void remotefile_release_empty(struct remotefile *f, uint8_t flags);

#endif
