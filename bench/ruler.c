/*
 * The only file of bench that includes OpenSSL. In the product only common/crypto does. This file
 * measures the cost of OpenSSL without the product's code, so it must not call that code.
 */
#include "bench/ruler.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bench/process.h"
#include "common/base/clock.h"

#define SMALL 40 /* about the size of an ACQUIRE, of its reply and of a RELEASE */
#define BLOCK 4096
#define BULK (1024 * 1024)
#define RECORD 16384 /* the most that TLS puts into one record */

/* The messages of a connection, in bytes. */
struct messages {
	size_t request;
	size_t reply;
	size_t oneway;     /* after the reply; 0: none */
	size_t write_size; /* of each SSL_write of BULK bytes */
	bool is_epoll;     /* the server's loop */
};

/* The work that a ruler measures. */
struct work {
	const char *name;
	const char *unit;
	int (*open)(struct ruler *);
	int (*once)(struct ruler *);
	struct messages messages;          /* of a connection */
	const EVP_CIPHER *(*cipher)(void); /* of a cipher */
};

struct ruler {
	const struct work *work;
	SSL *ssl;
	int fd;
	pid_t child;
	unsigned char *segment; /* BULK bytes each, enough for any message */
	unsigned char *copy;
	EVP_CIPHER_CTX *cipher;
	uint64_t seals;         /* of the segment, so far */
	pthread_mutex_t *mutex; /* a mapping of its own */
};

/* --- TLS ---------------------------------------------------------------- */

static int
make_certificate(SSL_CTX *ctx)
{
	int error = -EPROTO;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name;

	if (key == NULL || cert == NULL)
		goto out;
	name = X509_get_subject_name(cert);
	if (X509_set_version(cert, X509_VERSION_3) != 1 ||
	    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) != 1 ||
	    X509_gmtime_adj(X509_getm_notBefore(cert), -60) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(cert), 24 * 3600L) == NULL ||
	    X509_set_pubkey(cert, key) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"ruler", -1,
		-1, 0) != 1 ||
	    X509_set_issuer_name(cert, name) != 1 || X509_sign(cert, key, EVP_sha256()) == 0)
		goto out;
	if (SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		goto out;
	error = 0;
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	return error;
}

static int
handshake(SSL **out, int fd, bool is_server, bool reads_ahead)
{
	int error = -EPROTO;
	SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	SSL *ssl = NULL;

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
		goto out;
	/* The client would read a ticket in the middle of the first measurement. */
	if (is_server && (SSL_CTX_set_num_tickets(ctx, 0) != 1 || make_certificate(ctx) != 0))
		goto out;
	SSL_CTX_set_read_ahead(ctx, reads_ahead);
	if ((ssl = SSL_new(ctx)) == NULL || SSL_set_fd(ssl, fd) != 1)
		goto out;
	if ((is_server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1)
		goto out;
	*out = ssl;
	ssl = NULL;
	error = 0;
out:
	SSL_free(ssl);
	SSL_CTX_free(ctx); /* the connection keeps its own reference */
	return error;
}

/*
 * On a blocking socket only a signal makes OpenSSL ask for another try. On the server's
 * non-blocking socket a write never does: there is room for a reply.
 */
static bool
is_retry(SSL *ssl, int result)
{
	int reason = SSL_get_error(ssl, result);

	return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
}

static int
send_all(SSL *ssl, const unsigned char *bytes, size_t size, size_t write_size)
{
	size_t done = 0;

	while (done < size) {
		size_t part = size - done < write_size ? size - done : write_size;
		int n = SSL_write(ssl, bytes + done, (int)part);

		if (n > 0)
			done += (size_t)n;
		else if (!is_retry(ssl, n))
			return -EPROTO;
	}
	return 0;
}

static int
receive_all(SSL *ssl, unsigned char *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		int n = SSL_read(ssl, bytes + done, (int)(size - done));

		if (n > 0)
			done += (size_t)n;
		else if (!is_retry(ssl, n))
			return -EPROTO;
	}
	return 0;
}

/* --- the child ---------------------------------------------------------- */

/* Returns when the peer has closed the connection. */
static void
serve_blocking(SSL *ssl, const struct messages *messages, unsigned char *buffer)
{
	while (receive_all(ssl, buffer, messages->request) == 0)
		if (send_all(ssl, buffer, messages->reply, messages->reply) != 0)
			return;
}

/*
 * The least that a server does: counts the size bytes that arrived and answers each complete
 * request. *done is the number of bytes of the current iteration so far.
 */
static int
serve_bytes(SSL *ssl, const struct messages *messages, unsigned char *buffer, size_t *done,
    size_t size)
{
	while (size > 0) {
		size_t end = *done < messages->request ? messages->request :
							 messages->request + messages->oneway;
		size_t part = size < end - *done ? size : end - *done;

		*done += part;
		size -= part;
		if (*done == messages->request && part > 0 &&
		    send_all(ssl, buffer, messages->reply, messages->reply) != 0)
			return -EPROTO;
		if (*done == messages->request + messages->oneway)
			*done = 0;
	}
	return 0;
}

/* Returns when the peer has closed the connection. */
static void
serve_epoll(SSL *ssl, int fd, const struct messages *messages, unsigned char *buffer)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	size_t done = 0;

	if (epfd == -1 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == -1)
		return;
	for (;;) {
		/*
		 * Read before waiting: the handshake may have read ahead into the first request.
		 * epoll is level-triggered, so that no read is needed to find the socket empty.
		 */
		while (SSL_has_pending(ssl) || (event.events & EPOLLIN) != 0) {
			int n = SSL_read(ssl, buffer, BULK);

			event.events = 0;
			if (n <= 0 && is_retry(ssl, n))
				break;
			if (n <= 0 || serve_bytes(ssl, messages, buffer, &done, (size_t)n) != 0)
				return;
		}
		if (epoll_wait(epfd, &event, 1, -1) == -1 && errno != EINTR)
			return;
	}
}

static void
serve(int fd, const struct messages *messages, unsigned char *buffer)
{
	SSL *ssl = NULL;

	if (handshake(&ssl, fd, true, messages->is_epoll || messages->request == BULK) != 0)
		return;
	if (!messages->is_epoll)
		serve_blocking(ssl, messages, buffer);
	else if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		serve_epoll(ssl, fd, messages, buffer);
}

/* --- a connection to a child -------------------------------------------- */

static int
open_connection(struct ruler *ruler)
{
	int fds[2];
	int error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return -errno;
	if ((error = process_fork(&ruler->child)) != 0) {
		close(fds[0]);
		close(fds[1]);
		return error;
	}
	if (ruler->child == 0) {
		close(fds[0]);
		serve(fds[1], &ruler->work->messages, ruler->segment);
		_exit(0);
	}
	ruler->fd = fds[0];
	close(fds[1]); /* otherwise the handshake would wait for a child that died */
	return handshake(&ruler->ssl, ruler->fd, false, ruler->work->messages.is_epoll);
}

static int
exchange_messages(struct ruler *ruler)
{
	const struct messages *messages = &ruler->work->messages;
	int error = send_all(ruler->ssl, ruler->copy, messages->request, messages->request);

	if (error == 0)
		error = receive_all(ruler->ssl, ruler->copy, messages->reply);
	if (error == 0 && messages->oneway > 0)
		error = send_all(ruler->ssl, ruler->segment, messages->oneway, messages->oneway);
	return error;
}

static int
send_bulk(struct ruler *ruler)
{
	int error;

	memset(ruler->segment, ruler->segment[0] + 1, BULK);
	memcpy(ruler->copy, ruler->segment, BULK);
	error = send_all(ruler->ssl, ruler->copy, BULK, ruler->work->messages.write_size);
	return error != 0 ? error : receive_all(ruler->ssl, ruler->copy, 1);
}

/* --- a cipher ----------------------------------------------------------- */

static int
open_cipher(struct ruler *ruler)
{
	static const unsigned char key[32] = "any key";

	if ((ruler->cipher = EVP_CIPHER_CTX_new()) == NULL)
		return -ENOMEM;
	return EVP_EncryptInit_ex(ruler->cipher, ruler->work->cipher(), NULL, key, NULL) == 1 ?
	    0 :
	    -EPROTO;
}

/* Each block has its own IV and tag, as where blocks are read one by one. */
static int
encrypt_block(struct ruler *ruler, uint32_t block)
{
	EVP_CIPHER_CTX *cipher = ruler->cipher;
	unsigned char iv[16] = { 0 }, tag[16], sealed[BLOCK + 16];
	int size, rest;

	memcpy(iv, &ruler->seals, sizeof ruler->seals);
	memcpy(iv + sizeof ruler->seals, &block, sizeof block);
	if (EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, iv) != 1 ||
	    EVP_EncryptUpdate(cipher, sealed, &size, ruler->copy + (size_t)block * BLOCK, BLOCK) !=
		1 ||
	    EVP_EncryptFinal_ex(cipher, sealed + size, &rest) != 1)
		return -EPROTO;
	if (ruler->work->cipher == EVP_aes_256_gcm &&
	    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag) != 1)
		return -EPROTO;
	return 0;
}

static int
encrypt_bulk(struct ruler *ruler)
{
	int error = 0;

	memset(ruler->segment, ruler->segment[0] + 1, BULK);
	memcpy(ruler->copy, ruler->segment, BULK);
	ruler->seals++;
	for (uint32_t block = 0; block < BULK / BLOCK && error == 0; block++)
		error = encrypt_block(ruler, block);
	return error;
}

/* --- a mutex ------------------------------------------------------------ */

static int
open_mutex(struct ruler *ruler)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t *mutex = mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int error;

	if (mutex == MAP_FAILED)
		return -errno;
	if ((error = pthread_mutexattr_init(&attributes)) == 0) {
		error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
		if (error == 0)
			error = pthread_mutex_init(mutex, &attributes);
		pthread_mutexattr_destroy(&attributes);
	}
	if (error != 0)
		munmap(mutex, sizeof *mutex);
	else
		ruler->mutex = mutex;
	return -error;
}

static int
pass_mutex(struct ruler *ruler)
{
	pthread_mutex_t *mutex = ruler->mutex;
	int error = 0;

	for (size_t i = 0; i < RULER_GROUP && error == 0; i++)
		if ((error = pthread_mutex_lock(mutex)) == 0)
			error = pthread_mutex_unlock(mutex);
	return -error;
}

static void
close_mutex(pthread_mutex_t *mutex)
{
	if (mutex == NULL)
		return;
	pthread_mutex_destroy(mutex);
	munmap(mutex, sizeof *mutex);
}

/* --- the rulers --------------------------------------------------------- */

static const struct work works[RULER_KINDS] = {
	[RULER_ROUND_TRIP] = { "TLS round trip, 40 bytes", "round trips", open_connection,
	    exchange_messages, { SMALL, SMALL, 0, 0, false }, NULL },
	[RULER_SECTION] = { "empty epoll server, 40-byte one-way", "x the messages",
	    open_connection, exchange_messages, { SMALL, SMALL, SMALL, 0, true }, NULL },
	[RULER_SECTION_RELEASE] = { "the same, a block in the one-way", "x the messages",
	    open_connection, exchange_messages, { SMALL, SMALL, SMALL + BLOCK, 0, true }, NULL },
	[RULER_SECTION_HANDOVER] = { "the same, a block in the reply too", "x the messages",
	    open_connection, exchange_messages, { SMALL, SMALL + BLOCK, SMALL + BLOCK, 0, true },
	    NULL },
	[RULER_BULK_4K] = { "bare work on 1 MiB, 4 KiB writes", "x bare work", open_connection,
	    send_bulk, { BULK, 1, 0, BLOCK, false }, NULL },
	[RULER_BULK_16K] = { "bare work on 1 MiB, 16 KiB writes", "x bare work", open_connection,
	    send_bulk, { BULK, 1, 0, RECORD, false }, NULL },
	[RULER_GCM_4K] = { "bare work on 1 MiB, AES-256-GCM, 4 KiB blocks", "x bare work",
	    open_cipher, encrypt_bulk, { 0 }, EVP_aes_256_gcm },
	[RULER_CTR_4K] = { "bare work on 1 MiB, AES-256-CTR, 4 KiB blocks", "x bare work",
	    open_cipher, encrypt_bulk, { 0 }, EVP_aes_256_ctr },
	[RULER_MUTEX] = { "uncontended mutex in shared memory", "x a mutex", open_mutex, pass_mutex,
	    { 0 }, NULL },
};

const char *
ruler_name(enum ruler_kind kind)
{
	return works[kind].name;
}

const char *
ruler_unit(enum ruler_kind kind)
{
	return works[kind].unit;
}

bool
ruler_is_bulk(enum ruler_kind kind)
{
	return works[kind].once == send_bulk || works[kind].once == encrypt_bulk;
}

int
ruler_create(struct ruler **out, enum ruler_kind kind)
{
	int error = -ENOMEM;
	struct ruler *ruler = NULL;

	assert(kind >= 0 && kind < RULER_KINDS);
	if ((ruler = calloc(1, sizeof(*ruler))) == NULL)
		return -ENOMEM;
	ruler->work = &works[kind];
	ruler->fd = ruler->child = -1;
	ruler->segment = calloc(1, BULK);
	ruler->copy = calloc(1, BULK);
	if (ruler->segment != NULL && ruler->copy != NULL)
		error = ruler->work->open(ruler);
	if (error != 0) {
		ruler_destroy(ruler);
		return error;
	}
	*out = ruler;
	return 0;
}

void
ruler_destroy(struct ruler *ruler)
{
	if (ruler == NULL)
		return;
	process_kill(ruler->child);
	SSL_free(ruler->ssl);
	if (ruler->fd != -1)
		close(ruler->fd);
	EVP_CIPHER_CTX_free(ruler->cipher);
	close_mutex(ruler->mutex);
	free(ruler->segment);
	free(ruler->copy);
	free(ruler);
}

int
ruler_measure(struct ruler *ruler, uint64_t *samples, size_t count)
{
	const uint64_t group = ruler->mutex != NULL ? RULER_GROUP : 1;
	uint64_t last = clock_now();

	for (size_t i = 0; i < count; i++) {
		uint64_t end;
		int error = ruler->work->once(ruler);

		if (error != 0)
			return error;
		end = clock_now();
		samples[i] = (end - last + group / 2) / group;
		last = end;
	}
	return 0;
}
