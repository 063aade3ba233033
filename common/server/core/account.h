/*
 * account: what each peer uses of the server's quotas, and its queues of work (DESIGN 6).
 *
 * A peer is one name of a certificate; without one it is one user of the machine or one address.
 * All connections of a peer share an account. Each quota has a limit for all peers together; the
 * last sixteenth of it, rounded down, is kept for accounts that use no more than a sixteenth. So
 * one peer, whatever it does, leaves the others something, unless the limit is below 16.
 *
 * Work outlives the connection that began it (segments are wiped, files removed), and is charged to
 * the account that caused it: an account lives until its last reference is put. Its limit of log
 * lines lives longer: the last ACCOUNT_IDLE_MOST accounts without a reference are kept, so that a
 * peer that comes again and again does not begin anew.
 */
#ifndef COMMON_SERVER_CORE_ACCOUNT_H
#define COMMON_SERVER_CORE_ACCOUNT_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/loglimit.h"
#include "common/server/core/schedule.h"

enum account_quota {
	ACCOUNT_SESSIONS,   /* connections after the handshake */
	ACCOUNT_HANDSHAKES, /* connections before */
	ACCOUNT_SEGMENTS,   /* bytes of segments, in whole pages (-m) */
	ACCOUNT_MEMORY,     /* bytes of bodies, replies, descriptors, files and forks (-B) */
	ACCOUNT_FORKS,      /* pending forks */
	ACCOUNT_QUOTAS
};

enum { ACCOUNT_IDLE_MOST = 256 };

struct accounts;
struct memfile;

TAILQ_HEAD(memfile_list, memfile);

struct account {
	RB_ENTRY(account) link;
	TAILQ_ENTRY(account) idle_link; /* without a reference */
	struct accounts *accounts;
	uint32_t references;
	uint64_t used[ACCOUNT_QUOTAS];
	struct schedule_queue queues[SCHEDULE_CLASSES];
	struct memfile_list ended_files; /* of this account, to be destroyed by destroyer */
	struct task destroyer;           /* see memfile_put_later() */
	struct loglimit lines;           /* of the log about this peer */
	char name[];                     /* "cert NAME", "uid 0", "host 192.0.2.1" */
};

RB_HEAD(account_tree, account);
TAILQ_HEAD(account_list, account);

/* All accounts of a server. */
struct accounts {
	struct account_tree tree;
	struct account_list idle; /* without a reference, the oldest first */
	uint32_t idle_count;
	uint64_t limit[ACCOUNT_QUOTAS];
	uint64_t used[ACCOUNT_QUOTAS];   /* by all accounts */
	uint64_t excess[ACCOUNT_QUOTAS]; /* of these, beyond what one account may use */
};

/* No accounts. limit has the limit of each quota. */
void accounts_init(struct accounts *as, const uint64_t limit[ACCOUNT_QUOTAS]);

/* Frees the accounts; none has a reference. */
void accounts_fini(struct accounts *as);

/* Gets a reference to the account of that name; makes it if there is none. Returns 0 or -ENOMEM. */
int account_get(struct accounts *as, const char *name, struct account **out);

/* Gets one more reference. Returns a. */
struct account *account_ref(struct account *a);

/*
 * Puts a reference; takes NULL. With the last one the account ends: it uses nothing then, and has
 * no task.
 */
void account_put(struct account *a);

/* Takes n of a quota. Returns 0; -ENOMEM when the quota has not so much left for this account. */
int account_take(struct account *a, enum account_quota quota, uint64_t n);

/* True when account_take() would take n of a quota. */
bool account_has(const struct account *a, enum account_quota quota, uint64_t n);

/*
 * Logs a warning about the peer at now (nanoseconds of the monotonic clock), unless it has caused
 * too many; the next one that is logged tells how many were withheld.
 */
void account_warn(struct account *a, uint64_t now, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Takes n of a quota even if it has not so much left. What an account overdraws beyond 15/16 of the
 * quota is not taken from the others' sixteenth.
 */
void account_overdraw(struct account *a, enum account_quota quota, uint64_t n);

/* Gives n back that were taken. */
void account_give(struct account *a, enum account_quota quota, uint64_t n);

#endif
