/*
 * Handshakes: they cost a server more than a client. Neither many expensive ones, nor many at all,
 * nor many that never end keep honest clients waiting, or out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/hostile/attacker.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum { PEERS = 16, SHAKING = 64, SILENT = 2000, HELLO_SIZE = 4096 };

/* Writes the first flight of a client that offers this group only to hello. Returns its size. */
static int
make_hello(const char *group, uint8_t hello[HELLO_SIZE])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	int size;

	assert_non_null(ctx);
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	assert_int_equal(SSL_CTX_set1_groups_list(ctx, group), 1);
	ssl = SSL_new(ctx);
	assert_non_null(ssl);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(ssl);
	assert_int_equal(SSL_do_handshake(ssl), -1);
	size = BIO_read(SSL_get_wbio(ssl), hello, HELLO_SIZE);
	assert_in_range(size, 1, HELLO_SIZE - 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return size;
}

/* One connection after the other: its first flight, then whatever the server does with it. */
static void
replay(struct rig *r, struct pollfd *p, const uint8_t *hello, size_t size)
{
	uint8_t bytes[4096];

	if (p->fd >= 0 && (p->revents & (POLLIN | POLLHUP | POLLERR)) == 0)
		return;
	if (p->fd >= 0) {
		if (recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
			attacker_count_ended(r);
		close(p->fd);
	}
	p->fd = attacker_dial_tcp(r);
	p->events = POLLIN;
	if (p->fd >= 0)
		(void)!send(p->fd, hello, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The largest group that TLS 1.3 has, whose public keys cost the server 0.2 s each. */
static void
replay_expensive_hellos(struct rig *r)
{
	struct pollfd peers[PEERS];
	uint8_t hello[HELLO_SIZE];
	int size = make_hello("ffdhe8192", hello), i;

	for (i = 0; i < PEERS; i++)
		peers[i] = (struct pollfd){ .fd = -1 };
	while (rig_is_on(r)) {
		for (i = 0; i < PEERS; i++)
			replay(r, &peers[i], hello, (size_t)size);
		poll(peers, PEERS, 10);
	}
}

/* Makes one step; begins anew when the handshake is complete. */
static void
shake_hands(struct rig *r, struct raw *c)
{
	int fd, result;

	if (c->fd < 0) {
		fd = attacker_dial_tcp(r);
		if (fd < 0)
			return;
		raw_adopt(c, fd);
	}
	result = attacker_step(r, c);
	if (result < 0)
		attacker_count_ended(r);
	if (result != 0)
		raw_close(c);
}

/* All of them are at the same step at the same time, as far as the server lets them. */
static void
shake_hands_all_the_time(struct rig *r)
{
	struct raw peers[SHAKING];
	struct pollfd fds[SHAKING];
	unsigned i;

	for (i = 0; i < SHAKING; i++)
		peers[i] = (struct raw){ .fd = -1 };
	while (rig_is_on(r)) {
		for (i = 0; i < SHAKING; i++) {
			shake_hands(r, &peers[i]);
			fds[i] = (struct pollfd){ .fd = peers[i].fd, .events = POLLIN };
		}
		poll(fds, SHAKING, 1);
	}
	for (i = 0; i < SHAKING; i++)
		raw_close(&peers[i]);
}

/* Connects anew wherever the server has ended a connection. */
static void
connect_and_be_silent(struct rig *r)
{
	static struct pollfd peers[SILENT];
	unsigned i;

	for (i = 0; i < SILENT; i++)
		peers[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	while (rig_is_on(r)) {
		for (i = 0; i < SILENT && rig_is_on(r); i++) {
			if (peers[i].fd >= 0 && peers[i].revents == 0)
				continue;
			if (peers[i].fd >= 0) {
				attacker_count_ended(r);
				close(peers[i].fd);
			}
			peers[i].fd = attacker_dial_tcp(r);
			peers[i].revents = 0;
		}
		poll(peers, SILENT, 10);
	}
	for (i = 0; i < SILENT; i++)
		if (peers[i].revents != 0)
			attacker_count_ended(r);
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "ClientHello with ffdhe8192, 16 connections",
		    .daemons = RIG_BOTH,
		    .run = replay_expensive_hellos },
		{ .name = "handshakes with a certificate, 64 at a time",
		    .daemons = RIG_BOTH,
		    .run = shake_hands_all_the_time },
		{ .name = "2000 connections that send nothing",
		    .daemons = RIG_BOTH,
		    .run = connect_and_be_silent },
	};

	return rig_main("handshakes", attacks, sizeof attacks / sizeof attacks[0]);
}
