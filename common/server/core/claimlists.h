/*
 * claimlists: the lists of a session in which the descriptors with a claim are, and their counts.
 *
 * A descriptor whose claim is not idle is in exactly one of them: pending while its ACQUIRE waits,
 * granted while it holds the lock and is_undelivered, held once its reply is begun. A holder whose
 * upgrade waits stays in held, and counts as one that waits as well.
 */
#ifndef COMMON_SERVER_CORE_CLAIMLISTS_H
#define COMMON_SERVER_CORE_CLAIMLISTS_H

struct desc;
struct session;

/* No claims. */
void claimlists_init(struct session *s);

/* The ACQUIRE of d, which is in no list, waits. */
void claimlists_begin_wait(struct desc *d);

/* It waits no more: d is in no list. */
void claimlists_end_wait(struct desc *d);

/* d, which is in no list, was granted the lock. Its is_undelivered is set. */
void claimlists_begin_hold(struct desc *d);

/* The reply of d, which was undelivered, is begun; or its upgrade, undelivered, is taken back. */
void claimlists_deliver(struct desc *d);

/* The upgrade of d, which is in held, begins to wait, or ends to. */
void claimlists_begin_upgrade(struct desc *d);
void claimlists_end_upgrade(struct desc *d);

/* The upgrade of d, which is in held and does not wait, was granted: d is undelivered. */
void claimlists_upgraded(struct desc *d);

/* The claim of d, in any list, ends: d is in none. To be called before its state changes. */
void claimlists_leave(struct desc *d);

#endif
