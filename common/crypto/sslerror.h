/*
 * sslerror: OpenSSL's queue of errors, which each thread has one of, for this library and its
 * program: the reason of the last failure, for messages; and the errors of the program, which a
 * step of ours (libctx.h) neither sees nor changes.
 */
#ifndef COMMON_CRYPTO_SSLERROR_H
#define COMMON_CRYPTO_SSLERROR_H

struct sslerror_list;

/*
 * Takes all errors out of this thread's queue. Returns them, or NULL when there is none, as nearly
 * always. Without memory they are lost.
 */
struct sslerror_list *sslerror_hide(void);

/* Makes the queue what it was before sslerror_hide() returned l, and frees l. */
void sslerror_restore(struct sslerror_list *l);

/*
 * The reason of the last error in this thread's queue, which stays there. Valid until the next
 * call.
 */
const char *sslerror_reason(void);

#endif
