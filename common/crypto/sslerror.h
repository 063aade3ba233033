/*
 * sslerror: the reason of OpenSSL's last failure, for messages.
 */
#ifndef COMMON_CRYPTO_SSLERROR_H
#define COMMON_CRYPTO_SSLERROR_H

/*
 * The reason of the last error in this thread's queue, which stays there. Valid until the next
 * call.
 */
const char *sslerror_reason(void);

#endif
