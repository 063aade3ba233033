/*
 * lockprobe: whether OpenSSL's locks that belong to the process are free in a forked child.
 *
 * OpenSSL guards by such locks the begin and end of each thread that calls it, every draw of random
 * bytes, its initialisation, the strings of errors, names of objects that are not built in,
 * engines, and the secure heap. A thread of the program may have one at the fork; in the child no
 * thread can unlock it. Nothing tells beforehand, so the child tries all of them in a thread of its
 * own: when that one does not come back, the locks are *stuck*, for the rest of this process.
 *
 * The thread ends as soon as it has tried, and in a fork's parent there is never one.
 */
#ifndef COMMON_CRYPTO_LOCKPROBE_H
#define COMMON_CRYPTO_LOCKPROBE_H

#include <stdbool.h>

enum { LOCKPROBE_MS = 1000 };

/* True when the locks are unknown, being tried, or stuck. */
bool lockprobe_is_needed(void);

/*
 * Tries the locks if they are unknown, and waits for the result: all callers together for
 * LOCKPROBE_MS at most from when the thread runs, and longer on a machine that lets them look less
 * than every 10 ms. Returns 0, -ENOTRECOVERABLE when they are stuck, or -EAGAIN when there can be
 * no thread; with a message.
 */
int lockprobe_check(void);

/*
 * For libctx. prepare waits for the thread that tries, as long as lockprobe_check() does, and lets
 * none begin until parent. child: the locks are unknown from now on. is_prepared false: prepare was
 * not called.
 */
void lockprobe_fork_prepare(void);
void lockprobe_fork_parent(void);
void lockprobe_fork_child(bool is_prepared);

#endif
