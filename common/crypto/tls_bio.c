#include "common/crypto/tls_bio.h"

#include <errno.h>
#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/closer.h"

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Bytes that OpenSSL still needs of the record's header or, when it has that, of its body. */
static size_t
part_left(const struct tls_bio *b)
{
	return b->header_have < TLS_BIO_HEADER_SIZE ? TLS_BIO_HEADER_SIZE - b->header_have :
						      b->body_left;
}

/* OpenSSL has got size more bytes of the part. */
static void
follow_record(struct tls_bio *b, const uint8_t *bytes, size_t size)
{
	if (b->header_have < TLS_BIO_HEADER_SIZE) {
		memcpy(b->header + b->header_have, bytes, size);
		b->header_have += size;
		if (b->header_have < TLS_BIO_HEADER_SIZE)
			return;
		b->body_left = (size_t)b->header[3] << 8 | b->header[4];
	} else {
		b->body_left -= size;
	}
	if (b->body_left == 0) {
		b->header_have = 0;
		b->records++;
	}
}

/* Where the bytes are that were read ahead. */
static uint8_t *
ahead_of(const struct tls_bio *b)
{
	return b->bulk != NULL ? b->bulk : b->ahead;
}

/* Chooses the buffer to read ahead into, while nothing is in it. */
static void
choose_buffer(struct tls_bio *b)
{
	if (!b->is_bulk) {
		free(b->bulk);
		b->bulk = NULL;
	} else if (b->bulk == NULL) {
		b->bulk = malloc(TLS_BIO_BULK_SIZE);
	}
	b->ahead_head = 0;
}

static size_t
take_ahead(struct tls_bio *b, uint8_t *out, size_t size)
{
	size = least(size, b->ahead_size);
	memcpy(out, ahead_of(b) + b->ahead_head, size);
	b->ahead_head += size;
	b->ahead_size -= size;
	return size;
}

static ssize_t
receive(struct tls_bio *b, struct iovec *parts, size_t part_count)
{
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = part_count };
	ssize_t n;

	if (b->takes_rights) {
		n = closer_receive(b->fd, parts, part_count);
		if (n < 0 && errno == EPROTO)
			b->refusal = "the peer passes descriptors";
		return n;
	}
	do
		n = part_count == 1 ?
		    recv(b->fd, parts[0].iov_base, parts[0].iov_len, MSG_DONTWAIT) :
		    recvmsg(b->fd, &m, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Receives into out, and reads ahead. */
static ssize_t
receive_ahead(struct tls_bio *b, uint8_t *out, size_t size)
{
	size_t room = b->bulk != NULL ? TLS_BIO_BULK_SIZE : TLS_BIO_AHEAD_SIZE;
	struct iovec parts[2] = { { out, size }, { ahead_of(b), room } };
	ssize_t n;

	if (size <= TLS_BIO_HEADER_SIZE) {
		/* Copying a header costs less than a second part. */
		n = receive(b, parts + 1, 1);
		b->is_drained = n < (ssize_t)room;
		b->is_bulk = b->bulk != NULL && !b->is_drained;
		if (n <= 0)
			return n;
		b->ahead_size = (size_t)n;
		return (ssize_t)take_ahead(b, out, size);
	}
	n = receive(b, parts, 2);
	b->is_drained = n < (ssize_t)(size + room);
	b->is_bulk = !b->is_drained;
	if (n <= (ssize_t)size)
		return n;
	b->ahead_size = (size_t)n - size;
	return (ssize_t)size;
}

static bool
would_block(const struct tls_bio *b)
{
	return b->socket_error == EAGAIN || b->socket_error == EWOULDBLOCK;
}

static ssize_t
read_part(struct tls_bio *b, uint8_t *out, size_t size)
{
	ssize_t n;

	if (b->ahead_size > 0)
		n = (ssize_t)take_ahead(b, out, size);
	else
		n = receive_ahead(b, out, size);
	if (n < 0)
		b->socket_error = errno;
	if (n == 0)
		b->has_ended = true;
	if (b->ahead_size == 0)
		choose_buffer(b);
	if (n <= 0)
		return n;
	follow_record(b, out, (size_t)n);
	/* The type of a record of TLS is below 128; an SSL 2 hello has the high bit set. */
	if (b->header_have > 0 && b->header[0] >= 0x80)
		b->refusal = "the peer does not speak TLS";
	return b->refusal == NULL ? n : -1;
}

/* The functions of the BIO. OpenSSL's socket BIO writes with write(2), which can raise SIGPIPE. */

static int
bio_read(BIO *bio, char *out, int size)
{
	struct tls_bio *b = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	b->is_paused = b->header_have == 0 && b->records >= TLS_BIO_RECORDS_AT_ONCE;
	if (b->is_paused) {
		BIO_set_retry_read(bio);
		return -1;
	}
	n = read_part(b, (uint8_t *)out, least((size_t)size, part_left(b)));
	if (n < 0 && would_block(b))
		BIO_set_retry_read(bio);
	return (int)n;
}

static int
bio_write(BIO *bio, const char *data, int size)
{
	struct tls_bio *b = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = send(b->fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (int)n;
	b->socket_error = errno;
	if (would_block(b))
		BIO_set_retry_write(bio);
	return -1;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	struct tls_bio *b = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return b->has_ended;
	default:
		return 0;
	}
}

/* Makes the BIO's table of functions once and keeps it; NULL when there is no memory. */
static BIO_METHOD *
bio_method(void)
{
	static BIO_METHOD *method;
	BIO_METHOD *m = __atomic_load_n(&method, __ATOMIC_ACQUIRE), *none = NULL;

	if (m != NULL)
		return m;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memserver socket");
	if (m == NULL || BIO_meth_set_read(m, bio_read) != 1 ||
	    BIO_meth_set_write(m, bio_write) != 1 || BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
		BIO_meth_free(m);
		return NULL;
	}
	if (!__atomic_compare_exchange_n(&method, &none, m, false, __ATOMIC_ACQ_REL,
		__ATOMIC_ACQUIRE)) {
		BIO_meth_free(m);
		m = none;
	}
	return m;
}

int
tls_bio_open(struct tls_bio *b, BIO **out, int fd)
{
	BIO_METHOD *method = bio_method();
	BIO *bio = method != NULL ? BIO_new(method) : NULL;
	uint8_t *ahead = malloc(TLS_BIO_AHEAD_SIZE);

	if (bio == NULL || ahead == NULL) {
		BIO_free(bio);
		free(ahead);
		return -ENOMEM;
	}
	*b = (struct tls_bio){ .fd = fd, .is_drained = true, .ahead = ahead };
	BIO_set_data(bio, b);
	BIO_set_init(bio, 1);
	*out = bio;
	return 0;
}

void
tls_bio_close(struct tls_bio *b)
{
	free(b->ahead);
	free(b->bulk);
}

void
tls_bio_begin_call(struct tls_bio *b)
{
	b->socket_error = 0;
	b->is_paused = false;
	b->records = 0;
}

bool
tls_bio_has_record(const struct tls_bio *b)
{
	uint8_t header[TLS_BIO_HEADER_SIZE];
	const uint8_t *next = ahead_of(b) + b->ahead_head;
	size_t missing = TLS_BIO_HEADER_SIZE - b->header_have;

	if (b->ahead_size == 0)
		return false;
	if (missing == 0)
		return b->ahead_size >= b->body_left;
	if (b->ahead_size < missing)
		return false;
	memcpy(header, b->header, b->header_have);
	memcpy(header + b->header_have, next, missing);
	return b->ahead_size - missing >= ((size_t)header[3] << 8 | header[4]);
}
