#include "common/crypto/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

#include "common/base/error.h"

int
random_bytes(void *out, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size) {
		n = getrandom((uint8_t *)out + have, size - have, 0);
		if (n > 0) {
			have += (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			n = n == 0 ? -EIO : -errno;
			explicit_bzero(out, size);
			return error_message(-EIO, "getrandom: %s", error_string((int)n));
		}
	}
	return 0;
}

int
random_u64(uint64_t *out)
{
	return random_bytes(out, sizeof *out);
}
