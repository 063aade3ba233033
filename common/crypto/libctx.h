/*
 * libctx: the OpenSSL context (OSSL_LIB_CTX) of this library alone, and how it survives fork(2).
 *
 * OpenSSL's locks belong to a context or to the process. A fork copies them as they are: one that
 * another thread has is locked in the child for ever.
 *
 * The locks of a context: all that is done with OpenSSL here is done in *steps*. During a step the
 * private context is the thread's default one, so no object of ours is made in the program's, and
 * no thread of the program takes a lock of ours. fork(2) waits until no thread is in a step. A step
 * only computes, for milliseconds at most: it neither reads files nor waits for a peer. What
 * OpenSSL does at the end of a thread that took steps is one more step. A step finds the thread's
 * queue of errors empty, and leaves it as it was before.
 *
 * The locks of the process: the program's threads may have them at a fork (lockprobe.h). A *quiet*
 * step takes none of them in a thread that has called OpenSSL before, which a fork sees to for its
 * own thread. In a forked child other steps, and those of other threads, begin with the probe.
 *
 * One exception: in a process with engines a cipher or a digest, when it is bound to its context,
 * looks for a default one under the lock of engines, also in a quiet step. A child hangs there if a
 * thread of the program had that lock at the fork. OpenSSL has no call that finds out whether there
 * are engines but takes this lock, and the caller of fork(2) may have it itself.
 *
 * Only computing with a keyed cipher or a digest, which takes no lock, needs no step. When it fails
 * because bytes do not verify, it leaves no error in the queue.
 */
#ifndef COMMON_CRYPTO_LIBCTX_H
#define COMMON_CRYPTO_LIBCTX_H

#include <stdbool.h>

struct ossl_lib_ctx_st; /* OpenSSL's OSSL_LIB_CTX */
struct sslerror_list;

struct libctx_step {
	struct sslerror_list *errors;     /* the thread's before */
	struct ossl_lib_ctx_st *previous; /* the thread's default context before; NULL: it stayed */
};

/*
 * Begins a step, after 0; steps do not nest, and the caller takes no lock of its own in one but
 * those that are taken in steps only. Makes the context in the first one. Returns 0; -ENOMEM;
 * -ENOTRECOVERABLE in a forked child, for ever, when a thread of the parent had a lock of OpenSSL;
 * or -EAGAIN, see lockprobe_check(). Failures have a message.
 */
int libctx_begin(struct libctx_step *s);

/* The same for a quiet step: fetching, keying and freeing. */
int libctx_begin_quiet(struct libctx_step *s);

/*
 * The same for a quiet step that reads or writes records of TLS after the handshake. OpenSSL makes
 * no objects for these, so the thread's default context stays, which costs half as much.
 */
int libctx_begin_records(struct libctx_step *s);

void libctx_end(struct libctx_step *s);

/* The context; in a step. */
struct ossl_lib_ctx_st *libctx_get(void);

/*
 * In a step, before OpenSSL draws random bytes by itself, as TLS does: reseeds the context's
 * generators if this process is a copy that has not done so yet. OpenSSL detects a changed process
 * id and nothing else; forkmark.h detects the rest. Returns 0, or -EIO when there is no entropy.
 */
int libctx_start_drawing(void);

/*
 * For forkhooks. prepare comes after all locks of the library were taken, parent and child before
 * they are released. is_prepared false: prepare was not called. When a thread was in a step then,
 * there will be no more steps in the child.
 */
void libctx_fork_prepare(void);
void libctx_fork_parent(void);
void libctx_fork_child(bool is_prepared);

#endif
