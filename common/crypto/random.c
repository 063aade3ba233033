#include "common/crypto/random.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

int
random_bytes(void *out, size_t size)
{
	if (RAND_bytes_ex(NULL, out, size, 0) == 1)
		return 0;
	OPENSSL_cleanse(out, size);
	return -EIO;
}

int
random_u64(uint64_t *out)
{
	return random_bytes(out, sizeof *out);
}
