#include "common/crypto/random.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * 1 in a process whose generator was seeded by that process, 0 in a copy that was just made. It is in a page that the
 * kernel empties in every copy (MADV_WIPEONFORK), however the copy was made. OpenSSL itself compares process ids, and
 * those can be equal: both ends of a fork into a new pid namespace are number 1, and numbers are used again.
 */
static _Atomic(atomic_uchar *) mark;

/* Where there are no such pages the mark stays 1 in a copy, and what OpenSSL does has to do. */
static atomic_uchar plain_mark;

static atomic_uchar *
make_mark(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	atomic_uchar *made = page, *others = NULL;

	if (page == MAP_FAILED)
		return &plain_mark;
	if (madvise(page, size, MADV_WIPEONFORK) != 0)
		made = &plain_mark;
	/* Another thread may have been faster. */
	if (!atomic_compare_exchange_strong(&mark, &others, made))
		made = others;
	if (made != page)
		(void)munmap(page, size);
	return made;
}

int
random_check_fork(void)
{
	atomic_uchar *m = atomic_load(&mark);

	if (m == NULL)
		m = make_mark();
	if (atomic_load(m) == 1)
		return 0;
	/* The generators of threads see that the one they descend from was reseeded, and follow. */
	if (EVP_RAND_reseed(RAND_get0_primary(NULL), 1, NULL, 0, NULL, 0) != 1)
		return -EIO;
	atomic_store(m, 1);
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
