/*
 * smdishserver or smufserver behind a unix socket: in plaintext, over TLS 1.2, over TLS 1.3.
 */
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "tests/protocol/daemon.h"
#include "tests/protocol/link.h"
#include "tests/protocol/peer.h"
#include "tests/stress/patience.h"

enum { BRIEF_MS = 20 };

/*
 * One of six transports, with a server of its own, which is kept while its options stay the same.
 */
struct transport {
	int tls_version; /* 0: plaintext */
	bool is_smuf;
	char memdir[DAEMON_DIR_SIZE + 16]; /* smuf's */
	struct daemon daemon;
	bool has_directory;
	struct peer_options options;
	bool has_deaf; /* a connection of this test reads no more */
	SSL_CTX *ctx;
	SSL_CTX *operator_ctx; /* for whom there is INSPECT */
};

static struct transport plain;
static struct transport tls12 = { .tls_version = TLS1_2_VERSION };
static struct transport tls13 = { .tls_version = TLS1_3_VERSION };
static struct transport smuf_plain = { .is_smuf = true };
static struct transport smuf_tls12 = { .is_smuf = true, .tls_version = TLS1_2_VERSION };
static struct transport smuf_tls13 = { .is_smuf = true, .tls_version = TLS1_3_VERSION };
static struct transport *current;
static struct link links[PEER_MOST];
static const char *smdish_program, *smuf_program, *mkpki_script;

void
peer_socket_configure(const char *smdishserver, const char *smufserver, const char *mkpki)
{
	smdish_program = smdishserver;
	smuf_program = smufserver;
	mkpki_script = mkpki;
}

/* Connections. */

/* Pumps all links: none may starve while a test waits for another. */
static void
pump_all(void)
{
	size_t i;

	for (i = 0; i < PEER_MOST; i++)
		if (links[i].is_open)
			link_pump(&links[i]);
}

static void
poll_all(uint64_t deadline)
{
	struct pollfd fds[PEER_MOST];
	nfds_t count = 0;
	size_t i;

	for (i = 0; i < PEER_MOST; i++)
		if (link_events(&links[i]) != 0)
			fds[count++] = (struct pollfd){ .fd = links[i].fd,
				.events = link_events(&links[i]) };
	poll(fds, count, clock_poll_timeout(clock_now(), deadline));
}

static int
socket_wait(unsigned who, size_t size, enum peer_patience patience)
{
	const uint64_t ms[] = {
		[PEER_INSTANTLY] = 0,
		[PEER_BRIEFLY] = BRIEF_MS,
		[PEER_NOW] = patience_ms(LINK_PATIENCE_MS),
		[PEER_SOON] = patience_ms(LINK_PATIENCE_MS),
	};
	uint64_t deadline = clock_after_ms(clock_now(), ms[patience]);

	for (;;) {
		pump_all();
		if (buf_size(&links[who].in) >= size)
			return 0;
		if (links[who].is_ended)
			return -ECONNRESET;
		if (clock_now() >= deadline)
			return -EAGAIN;
		poll_all(deadline);
	}
}

static void
socket_send(unsigned who, const void *data, size_t size)
{
	buf_append(&links[who].out, data, size);
	pump_all();
}

static struct buf *
socket_input(unsigned who)
{
	return &links[who].in;
}

static int
open_with(unsigned who, SSL_CTX *ctx)
{
	int fd = daemon_connect(&current->daemon);

	return fd < 0 ? fd : link_open(&links[who], fd, ctx);
}

static int
socket_open(unsigned who)
{
	return open_with(who, current->ctx);
}

static void
socket_close(unsigned who)
{
	link_close(&links[who]);
}

/* The server's writes fail from now on; bytes that it has written already are not read. */
static void
socket_deafen(unsigned who)
{
	current->has_deaf = true;
	links[who].is_deaf = true;
	shutdown(links[who].fd, SHUT_RD);
}

static void
socket_pause(unsigned who)
{
	links[who].is_paused = true;
}

static void
socket_resume(unsigned who)
{
	links[who].is_paused = false;
}

static void
socket_advance(uint64_t ns)
{
	uint64_t end_of_it = clock_now() + ns;

	while (clock_now() < end_of_it)
		poll(NULL, 0, clock_poll_timeout(clock_now(), end_of_it));
}

/* The server. */

static bool
fail(char reason[PEER_REASON_SIZE], const char *what)
{
	snprintf(reason, PEER_REASON_SIZE, "%s: %s", what,
	    ERR_reason_error_string(ERR_get_error()));
	ERR_clear_error();
	return false;
}

/* Makes a context for a client of the server's CA with that name, for one version of TLS. */
static bool
make_context(const struct transport *t, const char *name, SSL_CTX **out,
    char reason[PEER_REASON_SIZE])
{
	char ca[128], cert[128], key[128];
	SSL_CTX *ctx;

	snprintf(ca, sizeof ca, "%s/root.crt", t->daemon.pki);
	snprintf(cert, sizeof cert, "%s/%s.crt", t->daemon.pki, name);
	snprintf(key, sizeof key, "%s/%s.key", t->daemon.pki, name);
	ctx = *out = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, t->tls_version) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, t->tls_version) != 1)
		return fail(reason, "SSL_CTX_new");
	if (SSL_CTX_load_verify_file(ctx, ca) != 1 ||
	    SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return fail(reason, "the client's keys");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return true;
}

static bool
prepare(struct transport *t, char reason[PEER_REASON_SIZE])
{
	int r;

	if (t->has_directory)
		return true;
	r = daemon_init(&t->daemon);
	if (r != 0) {
		snprintf(reason, PEER_REASON_SIZE, "no directory: %s", strerror(-r));
		return false;
	}
	t->has_directory = true;
	snprintf(t->memdir, sizeof t->memdir, "%s/memdir", t->daemon.dir);
	if (t->is_smuf && mkdir(t->memdir, 0700) != 0) {
		snprintf(reason, PEER_REASON_SIZE, "%s: %s", t->memdir, strerror(errno));
		return false;
	}
	if (t->tls_version == 0)
		return true;
	return daemon_make_keys(&t->daemon, mkpki_script, reason) &&
	    make_context(t, "client", &t->ctx, reason) &&
	    make_context(t, "operator", &t->operator_ctx, reason);
}

/* Starts the server with the options that are not the default, as arguments. */
static bool
start(struct transport *t, const struct peer_options *o, char reason[PEER_REASON_SIZE])
{
	char ca[128], cert[128], key[128], numbers[4][24];
	const struct {
		const char *option;
		uint64_t value;
	} options[4] = { { "-t", o->lease_ms }, { "-c", o->session_limit },
		{ "-s", o->segment_limit }, { "-m", o->total_limit } };
	const char *args[20];
	size_t count = 0, i;

	for (i = 0; i < 4; i++) {
		if (options[i].value == 0)
			continue;
		snprintf(numbers[i], sizeof numbers[i], "%llu",
		    (unsigned long long)options[i].value);
		args[count++] = options[i].option;
		args[count++] = numbers[i];
	}
	if (t->is_smuf) {
		args[count++] = "-r";
		args[count++] = t->memdir;
	}
	if (t->tls_version != 0) {
		snprintf(ca, sizeof ca, "%s/root.crt", t->daemon.pki);
		snprintf(cert, sizeof cert, "%s/server.crt", t->daemon.pki);
		snprintf(key, sizeof key, "%s/server.key", t->daemon.pki);
		args[count++] = "-Z";
		args[count++] = ca;
		args[count++] = cert;
		args[count++] = key;
		args[count++] = "--operators";
		args[count++] = "operator";
	}
	args[count] = NULL;
	t->options = *o;
	return daemon_start(&t->daemon, t->is_smuf ? smuf_program : smdish_program, args, reason);
}

/* With smuf: true when only the daemon's own file is left on the host. */
static bool
is_memdir_clean(const struct transport *t, char reason[PEER_REASON_SIZE])
{
	const char *own = t->daemon.pid != 0 ? ".smufserver.lock" : "";
	struct dirent *e;
	bool ok = true;
	DIR *list;

	if (!t->is_smuf)
		return true;
	list = opendir(t->memdir);
	if (list == NULL) {
		snprintf(reason, PEER_REASON_SIZE, "%s: %s", t->memdir, strerror(errno));
		return false;
	}
	while (ok && (e = readdir(list)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    strcmp(e->d_name, own) == 0)
			continue;
		snprintf(reason, PEER_REASON_SIZE, "left on the host: %s", e->d_name);
		ok = false;
	}
	closedir(list);
	return ok;
}

static bool
begin(struct transport *t, const struct peer_options *o, char reason[PEER_REASON_SIZE])
{
	current = t;
	if (!prepare(t, reason))
		return false;
	if (t->daemon.pid != 0 && memcmp(&t->options, o, sizeof *o) == 0)
		return true;
	return daemon_stop(&t->daemon, reason) && start(t, o, reason);
}

/* Counts the files of the server on an operator's connection. Returns -1 on an error. */
static long
count_files(void)
{
	static const uint8_t requests[] = { 0, 0, 0, OP_HELLO, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 0,
		0, 1, 0, OP_INSPECT, 0, 0, 0, 9, PROTOCOL_INSPECT_FILES, 0, 0, 0, 0, 0, 0, 0, 0 };
	enum {
		WHO = PEER_MOST - 1,
		COUNT_AT = FRAME_HEADER_SIZE + PROTOCOL_HELLO_REPLY_SIZE + FRAME_HEADER_SIZE + 8
	};
	struct wire_reader r;
	long count = -1;

	if (open_with(WHO, current->operator_ctx) != 0)
		return -1;
	socket_send(WHO, requests, sizeof requests);
	if (socket_wait(WHO, COUNT_AT + 4, PEER_NOW) == 0) {
		r = wire_reader(buf_data(socket_input(WHO)) + COUNT_AT, 4);
		count = wire_get_u32(&r);
	}
	socket_close(WHO);
	return count;
}

/*
 * True when the server has no file left. In plaintext nobody may ask: there a file that is left
 * ends the server with an assertion.
 */
static bool
is_clean(char reason[PEER_REASON_SIZE])
{
	long count = current->tls_version == 0 ? 0 : count_files();

	if (count == 0)
		return is_memdir_clean(current, reason);
	snprintf(reason, PEER_REASON_SIZE, "files left in the server: %ld", count);
	return false;
}

/* The server may notice later that connections have ended: look until it has. */
static bool
end(bool has_forked, char reason[PEER_REASON_SIZE])
{
	uint64_t deadline = patience_until(LINK_PATIENCE_MS);
	bool has_deaf = current->has_deaf;

	current->has_deaf = false;
	/*
	 * Pending forks live for a minute, and nothing tells when a plain connection has ended that
	 * is not read: the next test gets a new server.
	 */
	if (has_forked || (has_deaf && current->tls_version == 0))
		return daemon_stop(&current->daemon, reason) && is_memdir_clean(current, reason);
	while (!is_clean(reason)) {
		if (clock_now() > deadline)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static const char *
socket_memdir(void)
{
	return current->memdir;
}

static bool
finish(struct transport *t, char reason[PEER_REASON_SIZE])
{
	bool ok = daemon_stop(&t->daemon, reason);

	ok = ok && (!t->has_directory || is_memdir_clean(t, reason));
	if (t->has_directory)
		daemon_fini(&t->daemon);
	t->has_directory = false;
	SSL_CTX_free(t->ctx);
	SSL_CTX_free(t->operator_ctx);
	t->ctx = t->operator_ctx = NULL;
	return ok;
}

#define TRANSPORT(transport, title, smuf) \
	static bool transport##_begin(const struct peer_options *o, char reason[PEER_REASON_SIZE]) \
	{ \
		return begin(&transport, o, reason); \
	} \
	static bool transport##_finish(char reason[PEER_REASON_SIZE]) \
	{ \
		return finish(&transport, reason); \
	} \
	const struct peer peer_##transport = { .name = title, \
		.is_smuf = smuf, \
		.memdir = socket_memdir, \
		.begin = transport##_begin, \
		.end = end, \
		.finish = transport##_finish, \
		.open = socket_open, \
		.close = socket_close, \
		.send = socket_send, \
		.wait = socket_wait, \
		.input = socket_input, \
		.deafen = socket_deafen, \
		.pause = socket_pause, \
		.resume = socket_resume, \
		.advance = socket_advance }

TRANSPORT(plain, "plain", false);
TRANSPORT(tls12, "TLS 1.2", false);
TRANSPORT(tls13, "TLS 1.3", false);
TRANSPORT(smuf_plain, "smuf plain", true);
TRANSPORT(smuf_tls12, "smuf TLS 1.2", true);
TRANSPORT(smuf_tls13, "smuf TLS 1.3", true);
