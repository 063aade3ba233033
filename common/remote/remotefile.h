/*
 * remotefile: an open memory file that a server keeps; the operations on it as DESIGN 4 has them.
 *
 * The functions here are the members of the struct backend_ops of smdish, and of smuf. What is
 * left to such a backend is a struct remotefile_codec: how the delta of a grant is checked and
 * applied, and how that of a release is made.
 *
 * A release is one-way: it is sent and believed. Its refusal, if it comes, comes before the reply
 * to any later request; it is noted for its file (struct mux_failure), whose next call finds it,
 * makes the replica void and fails with it. A server that limits how long locks are held says so
 * in its HELLO, and is waited for.
 */
#ifndef COMMON_REMOTE_REMOTEFILE_H
#define COMMON_REMOTE_REMOTEFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/backend.h"
#include "common/remote/mux.h"
#include "common/remote/remote.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"

struct remotefile;

/* How deltas look (DESIGN 5). Each function is called with the file's lock held. */
struct remotefile_codec {
	size_t size; /* of the backend's own struct, whose first member is a struct remotefile */

	/* What the backend added begins, zeros until then, and ends. NULL when it added nothing. */
	void (*init)(struct remotefile *f);
	void (*fini)(struct remotefile *f);

	bool speaks_version_1; /* falls back to LOCK and UNLOCK of whole segments */

	/*
	 * A mapped file was granted: checks all of delta, then applies it, so that the replica
	 * has that version. On failure (-EPROTO, -EBADMSG, ...) the mapping is as it was.
	 */
	int (*apply)(struct remotefile *f, uint64_t version, struct wire_reader delta);

	/*
	 * A mapped file held exclusively is going to be released: finds what changed and does
	 * with it all that can fail. *size is then how many bytes put() will put, *has_blocks
	 * whether any block is among them.
	 */
	int (*prepare)(struct remotefile *f, uint64_t *size, bool *has_blocks);

	/* Puts the delta that was prepared; it is believed to be published from then on, until the replica is void. */
	void (*put)(struct remotefile *f, struct mux *m);
};

struct remotefile {
	struct backend_file base;
	const struct remotefile_codec *codec;
	struct remote *remote;
	char *name;
	uint32_t fd;
	uint64_t grant;          /* while the lock is held */
	enum protocol_mode mode; /* of that grant */
	bool has_segment;        /* that grant had a delta, and so must its release */
	uint8_t v1_type;         /* version 1: the type that was locked, and must be unlocked */
	struct mux_failure failure;
	atomic_uint epoch; /* of the remote, when failure was registered */
};

/* For a backend's open: connects if need be, and opens name for ops and codec. */
int remotefile_open(struct backend_file **out, const struct backend_ops *ops,
    const struct remotefile_codec *codec, struct mount *m, struct tls_context *tls,
    struct replica *replica, const char *name);

/* Members of struct backend_ops. */
int remotefile_close(struct backend_file *f);
bool remotefile_is_alive(struct backend_file *f);
int remotefile_map(struct backend_file *f, uint32_t size);
int remotefile_stat(struct backend_file *f, struct sm_stat *out);
int remotefile_acquire(struct backend_file *f, enum protocol_mode mode, uint64_t deadline);
int remotefile_release(struct backend_file *f, bool is_publishing);

/* See remote_fail(). */
int remotefile_fail(const struct remotefile *f, enum op op, int error);

#endif
