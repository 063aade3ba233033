#include "common/crypto/filedigest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/highfd.h"
#include "common/crypto/libctx.h"
#include "common/crypto/tls_load.h"

enum { PIECE_SIZE = 4096 };

/* Adds what can be read of fd, and its length. */
static int
add_content(EVP_MD_CTX *md, int fd)
{
	uint8_t piece[PIECE_SIZE];
	uint64_t size = 0;
	int error = 0;
	ssize_t n;

	do {
		n = read(fd, piece, sizeof piece);
		if (n < 0 && errno != EINTR)
			error = -errno;
		if (n > 0 && EVP_DigestUpdate(md, piece, (size_t)n) != 1)
			error = -ENOMEM;
		if (n > 0)
			size += (uint64_t)n;
		if (size > TLS_LOAD_MOST)
			error = -EFBIG;
	} while (error == 0 && n != 0);
	if (error == 0 && EVP_DigestUpdate(md, &size, sizeof size) != 1)
		error = -ENOMEM;
	/* One of the files has a key. */
	explicit_bzero(piece, sizeof piece);
	return error;
}

static int
add_file(EVP_MD_CTX *md, const char *path)
{
	int fd = highfd(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)), error = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		error = -errno;
	else if (!S_ISREG(st.st_mode))
		error = -ENOTSUP;
	if (error == 0)
		error = add_content(md, fd);
	(void)close(fd);
	return error;
}

/* Returns a digest that has begun, or NULL. */
static EVP_MD_CTX *
begin_digest(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_MD *sha256 = EVP_MD_fetch(libctx_get(), "SHA256", NULL);

	if (md == NULL || sha256 == NULL || EVP_DigestInit_ex2(md, sha256, NULL) != 1) {
		EVP_MD_CTX_free(md);
		md = NULL;
	}
	EVP_MD_free(sha256);
	return md;
}

int
filedigest_get(uint8_t out[FILEDIGEST_SIZE], const char *const *paths)
{
	uint8_t digest[FILEDIGEST_SIZE];
	struct libctx_step step;
	EVP_MD_CTX *md;
	int error = libctx_begin_quiet(&step);

	if (error != 0)
		return error;
	md = begin_digest();
	libctx_end(&step);
	if (md == NULL)
		return -ENOMEM;
	for (; error == 0 && *paths != NULL; paths++)
		error = add_file(md, *paths);
	if (error == 0 && EVP_DigestFinal_ex(md, digest, NULL) != 1)
		error = -ENOMEM;
	EVP_MD_CTX_free(md);
	if (error == 0)
		memcpy(out, digest, sizeof digest);
	return error;
}
