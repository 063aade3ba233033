/*
 * What surrounds a server: limits of its process, a lock on the directory of its socket, the least
 * segment limit, a TCP peer that is gone. None of it ends a server, keeps it from ending, or makes
 * it say or refuse what is not so.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/protocol.h"
#include "tests/hostile/attacker.h"
#include "tests/hostile/report.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum {
	FILE_MOST = 32 * SIZE_KIB,     /* of a smufserver: the honest clients' files fit */
	LOG_MOST = 4 * SIZE_KIB,       /* of a smdishserver, which has no other files */
	DESCRIPTORS = 40,              /* of a smufserver */
	CONNECTIONS = 2 * DESCRIPTORS, /* of the attackers */
	PAUSE_MS = 10,
	FDS_MOST = 64 /* where the server's first connection is */
};

/* A segment beyond ulimit -f: the write that exceeds it is a signal, unless that is ignored. */
static void
ask_for_a_large_host_file(struct rig *r)
{
	struct raw c;
	uint32_t fd;

	attacker_begin(r, &c);
	fd = raw_open(&c, "/large", 0);
	while (rig_is_on(r)) {
		assert_string_equal(RAW_ASK(&c, OP_MMAP, "ww", fd, (uint32_t)SIZE_MIB), "EFBIG");
		poll(NULL, 0, PAUSE_MS);
	}
	raw_close(&c);
}

/* Each connection is lines of a verbose log. */
static void
fill_the_log(struct rig *r)
{
	struct raw c;

	while (rig_is_on(r)) {
		attacker_begin(r, &c);
		raw_close(&c);
		poll(NULL, 0, PAUSE_MS);
	}
}

static void
expect_full_log(struct rig *r)
{
	size_t size = daemon_log_mark(&r->daemon);

	if (size != LOG_MOST)
		report_fault("the log: expected the %d bytes of the limit, got %lu", LOG_MOST,
		    (unsigned long)size);
}

/* Takes the descriptors, so that the server has none to open its own files with. */
static void
take_all_descriptors(struct rig *r)
{
	int fds[CONNECTIONS], i;

	for (i = 0; i < CONNECTIONS; i++)
		fds[i] = attacker_dial_tcp(r);
	while (rig_is_on(r))
		poll(NULL, 0, PAUSE_MS);
	for (i = 0; i < CONNECTIONS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* The host is innocent. */
static void
expect_no_blame(struct rig *r)
{
	if (daemon_log_count(&r->daemon, 0, "gone", "") != 0)
		report_fault(
		    "a server without descriptors blames the host: \"gone\" is in its log");
}

static void
lock_the_directory_of_the_socket(struct rig *r)
{
	while (rig_is_on(r))
		poll(NULL, 0, PAUSE_MS);
}

/* In the test, whose process keeps the lock until it ends: the server has to end meanwhile. */
static void
lock_directory(struct rig *r)
{
	int fd = open(r->daemon.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
}

/* The server of the tests below. */
static struct daemon single;

static int
end_single(void **state)
{
	(void)state;
	daemon_fini(&single);
	return 0;
}

/* The longest name is longer than the largest body of so small a segment would be. */
static void
a_server_of_tiny_segments_takes_long_names(void **state)
{
	const bool *is_smuf = *state;
	const size_t size = *is_smuf ? PROTOCOL_SMUF_NAME_MOST : PROTOCOL_SMDISH_NAME_MOST;
	const struct daemon_config config = { .is_smuf = *is_smuf, .args = { "-s", "1" } };
	char name[PROTOCOL_SMDISH_NAME_MOST + 1] = "/";
	struct raw c;

	memset(name + 1, 'n', size - 1);
	daemon_open(&single, &config);
	raw_connect(&c, &single);
	raw_begin(&c, true);
	assert_int_equal(raw_open(&c, name, 1), 0);
	raw_close(&c);
	daemon_stop(&single);
	daemon_log_expect(&single, 0, 0);
}

/*
 * Returns the user timeout of the server's descriptor fd, in milliseconds, if that is the other end
 * of a TCP connection from port; else -1.
 */
static int
user_timeout(int server, int fd, in_port_t port)
{
	struct sockaddr_in peer = { 0 };
	socklen_t size = sizeof peer;
	unsigned ms = 0;
	int copy = (int)syscall(SYS_pidfd_getfd, server, fd, 0), result = -1;

	if (copy < 0)
		return -1;
	if (getpeername(copy, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET &&
	    peer.sin_port == port) {
		size = sizeof ms;
		assert_int_equal(getsockopt(copy, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size), 0);
		result = (int)ms;
	}
	close(copy);
	return result;
}

/* Without it, replies to a peer that is gone stay for a quarter of an hour. */
static void
a_connection_over_tcp_has_a_user_timeout(void **state)
{
	const bool *is_smuf = *state;
	const struct daemon_config config = { .is_smuf = *is_smuf,
		.has_keys = true,
		.tcp_host = "127.0.0.1" };
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct sockaddr_in own;
	socklen_t size = sizeof own;
	int client, server, fd, ms = -1;

	daemon_open(&single, &config);
	client = attacker_dial(&single);
	assert_in_range(client, 0, FDS_MOST);
	assert_int_equal(getsockname(client, (struct sockaddr *)&own, &size), 0);
	server = (int)syscall(SYS_pidfd_open, single.pid, 0);
	/* The server sets it after it has accepted. */
	while (server >= 0 && ms <= 0 && clock_now() < deadline)
		for (fd = 0; fd < FDS_MOST && ms <= 0; fd++)
			ms = user_timeout(server, fd, own.sin_port);
	close(server);
	close(client);
	if (ms < 0)
		skip(); /* no pidfd_getfd(2), or not allowed */
	assert_int_not_equal(ms, 0);
}

static int
run_attacks(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "a host file beyond ulimit -f",
		    .daemons = RIG_SMUF,
		    .run = ask_for_a_large_host_file,
		    .config = { .limited = RLIMIT_FSIZE, .limit = FILE_MOST } },
		{ .name = "a log beyond ulimit -f",
		    .daemons = RIG_SMDISH,
		    .run = fill_the_log,
		    .check = expect_full_log,
		    .config = { .limited = RLIMIT_FSIZE, .limit = LOG_MOST, .args = { "-v" } } },
		{ .name = "connections that take all descriptors",
		    .daemons = RIG_SMUF,
		    .run = take_all_descriptors,
		    .check = expect_no_blame,
		    .keeps_newcomers_out = true,
		    .config = { .limited = RLIMIT_NOFILE, .limit = DESCRIPTORS } },
		{ .name = "a lock on the directory of the socket",
		    .daemons = RIG_BOTH,
		    .run = lock_the_directory_of_the_socket,
		    .check = lock_directory },
	};

	return rig_main("process", attacks, sizeof attacks / sizeof attacks[0]);
}

int
main(void)
{
	static bool smdish = false, smuf = true;
	const struct CMUnitTest tests[] = {
		{ "smdish: -s 1 and a long name", a_server_of_tiny_segments_takes_long_names, NULL,
		    end_single, &smdish },
		{ "smuf: -s 1 and a long name", a_server_of_tiny_segments_takes_long_names, NULL,
		    end_single, &smuf },
		{ "smdish: TCP_USER_TIMEOUT", a_connection_over_tcp_has_a_user_timeout, NULL,
		    end_single, &smdish },
		{ "smuf: TCP_USER_TIMEOUT", a_connection_over_tcp_has_a_user_timeout, NULL,
		    end_single, &smuf },
	};

	return run_attacks() + cmocka_run_group_tests(tests, NULL, NULL);
}
