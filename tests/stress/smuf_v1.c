#include "tests/stress/smuf_v1.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "tests/stress/daemon.h"

enum {
	LOCK_SIZE = 4096,
	SEAL_SIZE = 4 + SMUF_V1_IV_SIZE + 4 + SMUF_V1_KEY_SIZE + 4 + SMUF_V1_TAG_SIZE,
	BODY_MOST = 256
};

struct seal {
	uint8_t iv[SMUF_V1_IV_SIZE], key[SMUF_V1_KEY_SIZE], tag[SMUF_V1_TAG_SIZE];
};

/* Requests. */

static int
receive(int fd, uint8_t *bytes, size_t size)
{
	ssize_t n;

	for (; size > 0; bytes += n, size -= (size_t)n) {
		n = recv(fd, bytes, size, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0)
			return -errno;
	}
	return 0;
}

/*
 * Sends a request and copies the body of its reply, of *got bytes, to reply. Returns the status as
 * a negative errno.
 */
static int
ask(struct smuf_v1 *c, uint32_t op, const uint8_t *body, size_t size, uint8_t reply[BODY_MOST],
    size_t *got)
{
	uint8_t bytes[FRAME_HEADER_SIZE + BODY_MOST];
	struct frame f = { op, (uint32_t)size };
	int r;

	frame_put(bytes, f);
	if (size > 0)
		memcpy(bytes + FRAME_HEADER_SIZE, body, size);
	size += FRAME_HEADER_SIZE;
	if (send(c->socket, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
		return -ECONNRESET;
	r = receive(c->socket, bytes, FRAME_HEADER_SIZE);
	if (r != 0)
		return r;
	f = frame_get(bytes);
	if (f.body_size > BODY_MOST)
		return -EPROTO;
	*got = f.body_size;
	r = receive(c->socket, reply, f.body_size);
	return r != 0 ? r : -(int)f.code;
}

static int
ask_open(struct smuf_v1 *c, const char *name)
{
	uint8_t body[BODY_MOST], reply[BODY_MOST];
	struct wire_writer w = wire_writer(body, 4 + strlen(name));
	size_t got;
	int r = ask(c, OP_NEW_FDTABLE, NULL, 0, reply, &got);

	if (r != 0)
		return r;
	wire_put_u32(&w, (uint32_t)strlen(name));
	wire_put_bytes(&w, name, strlen(name));
	r = ask(c, OP_OPEN, body, 4 + strlen(name), reply, &got);
	if (r == 0 && got == 4) {
		struct wire_reader in = wire_reader(reply, got);

		c->fd = wire_get_u32(&in);
	}
	return r;
}

static int
ask_map(struct smuf_v1 *c)
{
	uint8_t body[8], reply[BODY_MOST];
	struct wire_writer w = wire_writer(body, sizeof body);
	size_t got;

	wire_put_u32(&w, c->fd);
	wire_put_u32(&w, (uint32_t)c->size);
	return ask(c, OP_MMAP, body, sizeof body, reply, &got);
}

/* *type becomes the type that the server replies; type 1 comes with a seal. */
static int
ask_lock(struct smuf_v1 *c, uint8_t *type, struct seal *seal)
{
	uint8_t body[9], reply[BODY_MOST];
	struct wire_writer w = wire_writer(body, sizeof body);
	struct wire_reader in;
	size_t got;
	int r;

	wire_put_u32(&w, c->fd);
	wire_put_u32(&w, c->ticket);
	wire_put_u8(&w, PROTOCOL_TYPE_SEGMENT);
	r = ask(c, OP_LOCK, body, sizeof body, reply, &got);
	if (r != 0)
		return r;
	in = wire_reader(reply, got);
	*type = wire_get_u8(&in);
	if (*type == PROTOCOL_TYPE_SEGMENT) {
		if (got != 1 + SEAL_SIZE)
			return -EPROTO;
		wire_get_u32(&in);
		memcpy(seal->iv, wire_get_bytes(&in, sizeof seal->iv), sizeof seal->iv);
		wire_get_u32(&in);
		memcpy(seal->key, wire_get_bytes(&in, sizeof seal->key), sizeof seal->key);
		wire_get_u32(&in);
		memcpy(seal->tag, wire_get_bytes(&in, sizeof seal->tag), sizeof seal->tag);
	}
	return in.failed ? -EPROTO : 0;
}

static int
ask_unlock(struct smuf_v1 *c, const struct seal *seal)
{
	uint8_t body[5 + SEAL_SIZE], reply[BODY_MOST];
	struct wire_writer w = wire_writer(body, sizeof body);
	size_t got;

	wire_put_u32(&w, c->fd);
	wire_put_u8(&w, PROTOCOL_TYPE_SEGMENT);
	wire_put_u32(&w, sizeof seal->iv);
	wire_put_bytes(&w, seal->iv, sizeof seal->iv);
	wire_put_u32(&w, sizeof seal->key);
	wire_put_bytes(&w, seal->key, sizeof seal->key);
	wire_put_u32(&w, sizeof seal->tag);
	wire_put_bytes(&w, seal->tag, sizeof seal->tag);
	return ask(c, OP_UNLOCK, body, sizeof body, reply, &got);
}

/* The cipher: the whole segment is one message. */

static int
seal_bytes(struct seal *seal, const uint8_t *plain, uint8_t *out, size_t size)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	ok = ctx != NULL && RAND_bytes(seal->iv, sizeof seal->iv) == 1 &&
	    EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, seal->key, seal->iv) == 1 &&
	    EVP_EncryptUpdate(ctx, out, &n, plain, (int)size) == 1 &&
	    EVP_EncryptFinal_ex(ctx, out + n, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, sizeof seal->tag, seal->tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

static int
open_bytes(struct seal *seal, const uint8_t *sealed, uint8_t *out, size_t size)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	ok = ctx != NULL &&
	    EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, seal->key, seal->iv) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &n, sealed, (int)size) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, sizeof seal->tag, seal->tag) == 1 &&
	    EVP_DecryptFinal_ex(ctx, out + n, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EBADMSG;
}

/* The client. */

static int
map_lock(struct smuf_v1 *c, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *p;

	if (fd < 0)
		return -errno;
	p = mmap(NULL, LOCK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return -errno;
	c->untrusted_words = p;
	return 0;
}

/* Each client draws a key; the one that publishes first gives its key to all others. */
static int
begin(struct smuf_v1 *c, const struct daemon *d, const char *name)
{
	char path[PATH_MAX];
	int r = ask_open(c, name);

	if (r != 0)
		return r;
	snprintf(path, sizeof path, "%s%s", d->memdir, name);
	r = map_lock(c, path);
	if (r == 0)
		r = ask_map(c);
	if (r != 0)
		return r;
	snprintf(path, sizeof path, "%s%s.segment", d->memdir, name);
	c->segment_fd = open(path, O_RDWR | O_CLOEXEC);
	c->segment = calloc(1, c->size);
	if (c->segment_fd < 0 || c->segment == NULL)
		return -EIO;
	return RAND_bytes(c->key, sizeof c->key) == 1 ? 0 : -EIO;
}

int
smuf_v1_open(struct smuf_v1 *c, const struct daemon *d, const char *name, size_t size)
{
	int r;

	*c = (struct smuf_v1){ .size = size, .socket = daemon_dial(d), .segment_fd = -1 };
	if (c->socket < 0) {
		r = c->socket;
		*c = (struct smuf_v1){ 0 };
		return r;
	}
	r = begin(c, d, name);
	if (r != 0)
		smuf_v1_close(c);
	return r;
}

void
smuf_v1_close(struct smuf_v1 *c)
{
	if (c->untrusted_words != NULL)
		munmap(c->untrusted_words, LOCK_SIZE);
	free(c->segment);
	if (c->size > 0 && c->segment_fd >= 0)
		close(c->segment_fd);
	if (c->size > 0)
		close(c->socket);
	*c = (struct smuf_v1){ 0 };
}

void
smuf_v1_take_ticket(struct smuf_v1 *c)
{
	c->ticket = atomic_fetch_add(&c->untrusted_words[0], 1);
}

int
smuf_v1_wait_for_turn(const struct smuf_v1 *c, const _Atomic int *stop, uint64_t deadline)
{
	while (atomic_load(&c->untrusted_words[1]) != c->ticket) {
		if (stop != NULL && atomic_load(stop) != 0)
			return -ECANCELED;
		if (clock_now() > deadline)
			return -ETIMEDOUT;
		sched_yield();
	}
	return 0;
}

/* Reads the segment file and opens it with the seal of the grant. */
static int
fetch(struct smuf_v1 *c, struct seal *seal)
{
	uint8_t *sealed = malloc(c->size);
	int r = -EIO;

	if (sealed != NULL && pread(c->segment_fd, sealed, c->size, 0) == (ssize_t)c->size)
		r = open_bytes(seal, sealed, c->segment, c->size);
	free(sealed);
	if (r == 0)
		memcpy(c->key, seal->key, sizeof c->key);
	return r;
}

int
smuf_v1_ask(struct smuf_v1 *c)
{
	struct seal seal;
	uint8_t type;
	int r = ask_lock(c, &type, &seal);

	if (r != 0)
		return r;
	if (type == PROTOCOL_TYPE_SEGMENT)
		return fetch(c, &seal);
	memset(c->segment, 0, c->size);
	return type == PROTOCOL_TYPE_UNPUBLISHED ? 0 : -EPROTO;
}

int
smuf_v1_publish(struct smuf_v1 *c)
{
	uint8_t *sealed = malloc(c->size);
	struct seal seal;
	int r = -ENOMEM;

	memcpy(seal.key, c->key, sizeof seal.key);
	if (sealed != NULL)
		r = seal_bytes(&seal, c->segment, sealed, c->size);
	if (r == 0 && pwrite(c->segment_fd, sealed, c->size, 0) != (ssize_t)c->size)
		r = -EIO;
	free(sealed);
	return r != 0 ? r : ask_unlock(c, &seal);
}

void
smuf_v1_pass_on(struct smuf_v1 *c)
{
	atomic_fetch_add(&c->untrusted_words[1], 1);
}

int
smuf_v1_lock(struct smuf_v1 *c, uint64_t deadline)
{
	int r;

	do {
		smuf_v1_take_ticket(c);
		r = smuf_v1_wait_for_turn(c, NULL, deadline);
		if (r == 0)
			r = smuf_v1_ask(c);
	} while (r == -EINVAL);
	return r;
}

int
smuf_v1_unlock(struct smuf_v1 *c)
{
	int r = smuf_v1_publish(c);

	if (r == 0)
		smuf_v1_pass_on(c);
	return r;
}
