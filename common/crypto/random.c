#include "common/crypto/random.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>

#include "common/base/forkmark.h"

/*
 * The copy of the process (forkmark.h) whose generator was seeded last. OpenSSL itself compares
 * process ids, and those can be equal: parent and child of a fork into a new pid namespace may both
 * have id 1, and ids are used again.
 */
static _Atomic uint64_t seeded;

int
random_check_fork(void)
{
	uint64_t copy = forkmark_get();

	if (atomic_load(&seeded) == copy)
		return 0;
	/* The generators of threads are children of this one and reseed themselves after it. */
	if (EVP_RAND_reseed(RAND_get0_primary(NULL), 1, NULL, 0, NULL, 0) != 1)
		return -EIO;
	atomic_store(&seeded, copy);
	return 0;
}

int
random_bytes(void *out, size_t size)
{
	if (random_check_fork() == 0 && RAND_bytes_ex(NULL, out, size, 0) == 1)
		return 0;
	OPENSSL_cleanse(out, size);
	return -EIO;
}

int
random_u64(uint64_t *out)
{
	return random_bytes(out, sizeof *out);
}
