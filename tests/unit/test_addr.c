/*
 * Addresses as text, and real sockets behind them: unix, abstract, TCP, and the files in their way.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/wire/addr.h"
#include "common/wire/socket.h"
#include "tests/stress/patience.h"

static const struct socket_access usual = { .mode = 0660, .group = (gid_t)-1 };
static struct socket_file made; /* by the last socket_listen() */
static struct socket_file none; /* by one that fails */

static char dir[64];
static char path[96];

static int
make_directory(void **state)
{
	const char *parent = getenv("TMPDIR");

	(void)state;
	if (parent == NULL || strlen(parent) > 40)
		parent = "/tmp";
	snprintf(dir, sizeof dir, "%s/addr.XXXXXX", parent);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/socket", dir);
	return 0;
}

static int
remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int
connect_to(const struct addr *a, int *fd)
{
	return socket_connect(a, patience_until(PATIENCE_MS), fd);
}

/* Parses what must be an address. */
static struct addr
address(const char *text)
{
	struct addr a;
	int r = addr_parse(&a, text, 0);

	if (r != 0)
		fail_msg("addr_parse(\"%s\"): expected 0, got %d", text, r);
	assert_string_equal(a.text, text);
	return a;
}

static void
close_all(const int *fds, int count)
{
	int i;

	for (i = 0; i < count; i++)
		close(fds[i]);
}

static void
forms_of_unix_addresses(void **state)
{
	static const struct {
		const char *text;
		int flags;
		enum addr_kind kind;
		const char *name;
	} rows[] = {
		{ "/run/smdish.sock", 0, ADDR_UNIX, "/run/smdish.sock" },
		{ "unix:/run/smdish.sock", 0, ADDR_UNIX, "/run/smdish.sock" },
		{ "unix:a:b", 0, ADDR_UNIX, "a:b" },
		{ "/run/smdish.sock", ADDR_ABSTRACT, ADDR_ABSTRACT_PADDED, "/run/smdish.sock" },
		{ "uds", ADDR_ABSTRACT, ADDR_ABSTRACT_PADDED, "uds" },
		{ "uds", ADDR_RELATIVE, ADDR_UNIX, "uds" },
		{ "./a:b", ADDR_RELATIVE, ADDR_UNIX, "./a:b" },
		{ "unix:/run/smdish.sock", ADDR_ABSTRACT, ADDR_UNIX, "/run/smdish.sock" },
		{ "abstract:name", 0, ADDR_ABSTRACT_EXACT, "name" },
		{ "abstract:name", ADDR_ABSTRACT, ADDR_ABSTRACT_EXACT, "name" },
		{ "pipe:2011863273", 0, ADDR_ABSTRACT_PADDED, "/graphene/123456/77ea98e9" },
		{ "pipe:1", 0, ADDR_ABSTRACT_PADDED, "/graphene/123456/00000001" },
		{ "pipe:4294967295", 0, ADDR_ABSTRACT_PADDED, "/graphene/123456/ffffffff" },
	};
	struct addr a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(addr_parse(&a, rows[i].text, rows[i].flags), 0);
		assert_int_equal(a.kind, rows[i].kind);
		assert_string_equal(a.name, rows[i].name);
		assert_string_equal(a.text, rows[i].text);
	}
}

static void
forms_of_tcp_addresses(void **state)
{
	static const struct {
		const char *text, *host, *port;
	} rows[] = {
		{ "tcp:localhost:9001", "localhost", "9001" },
		{ "tcp://localhost:9001", "localhost", "9001" },
		{ "tcp:127.0.0.1:1", "127.0.0.1", "1" },
		{ "tcp:[::1]:65535", "::1", "65535" },
		{ "tcp://[fe80::1]:80", "fe80::1", "80" },
		{ "tcp:*:9001", "", "9001" },
		{ "tcp::9001", "", "9001" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct addr a = address(rows[i].text);

		assert_int_equal(a.kind, ADDR_TCP);
		assert_string_equal(a.host, rows[i].host);
		assert_string_equal(a.port, rows[i].port);
	}
}

static void
what_is_no_address_is_einval(void **state)
{
	static const char *const texts[] = { "", "unix:", "abstract:", "pipe:", "pipe:x", "pipe:-1",
		"pipe:1x", "pipe:4294967296", "tcp:", "tcp://", "tcp:host",
		"tcp:host:", "tcp:[::1:80", "tcp:[::1]", "tcp:[::1]80", "tcp:[::1]:", "host:80" };
	struct addr a, before;
	size_t i;

	(void)state;
	memset(&a, 0x5a, sizeof a);
	before = a;
	for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		int r = addr_parse(&a, texts[i], 0);

		if (r != -EINVAL)
			fail_msg("addr_parse(\"%s\"): expected -EINVAL, got %d", texts[i], r);
		assert_memory_equal(&a, &before, sizeof a);
	}
	assert_int_equal(addr_parse(&a, "uds", 0), -EINVAL);
	/* Rather a forgotten tcp: than the name of a socket. */
	assert_int_equal(addr_parse(&a, "host:80", ADDR_RELATIVE), -EINVAL);
}

/* A name that does not fit is refused, not cut. */
static void
names_that_do_not_fit_are_refused(void **state)
{
	char text[2000];
	struct addr a;
	size_t size;

	(void)state;
	for (size = 109; size < sizeof text - 10; size += 211) {
		memset(text, 'x', sizeof text);
		text[0] = '/';
		text[size] = '\0';
		assert_int_equal(addr_parse(&a, text, 0), -ENAMETOOLONG);
		assert_int_equal(addr_parse(&a, text, ADDR_ABSTRACT), -ENAMETOOLONG);
		memset(text, 'x', sizeof text);
		memcpy(text, "unix:/", 6);
		text[size + 5] = '\0';
		assert_int_equal(addr_parse(&a, text, 0), -ENAMETOOLONG);
	}
	memset(text, 'x', sizeof text);
	text[0] = '/';
	text[107] = '\0';
	assert_int_equal(addr_parse(&a, text, 0), 0);
	assert_string_equal(a.name, text);
	memset(text, 'x', sizeof text);
	memcpy(text, "tcp:", 4);
	memcpy(text + ADDR_HOST_SIZE + 4, ":80", 4);
	assert_true(addr_parse(&a, text, 0) < 0);
	memset(text, '1', sizeof text);
	memcpy(text, "tcp:h:", 6);
	text[6 + ADDR_PORT_SIZE] = '\0';
	assert_true(addr_parse(&a, text, 0) < 0);
}

/* Connects both ends of an address and sends a byte. */
static void
meet(const struct addr *a, const struct addr *client_side, int *server, int *client)
{
	int fds[SOCKET_LISTEN_MOST], count, flags;
	char byte = 0;

	count = socket_listen(a, &usual, fds, &made);
	if (count <= 0)
		fail_msg("socket_listen(%s): expected a socket, got %d", a->text, count);
	flags = fcntl(fds[0], F_GETFL);
	assert_true(flags & O_NONBLOCK);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(connect_to(client_side, client), 0);
	assert_true(fcntl(*client, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(*client, F_GETFD) & FD_CLOEXEC);
	*server = accept(fds[0], NULL, NULL);
	assert_true(*server >= 0);
	assert_int_equal(write(*client, "x", 1), 1);
	assert_int_equal(read(*server, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close_all(fds, count);
}

static void
unix_socket_has_mode_0660_and_goes_with_unlink(void **state)
{
	struct addr a = address(path);
	char name[ADDR_TEXT_SIZE], expected[ADDR_TEXT_SIZE];
	int server, client;
	struct stat st;

	(void)state;
	umask(077);
	meet(&a, &a, &server, &client);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	socket_describe_peer(server, name);
	snprintf(expected, sizeof expected, "pid %ld uid %ld", (long)getpid(), (long)getuid());
	assert_string_equal(name, expected);
	socket_tune(client, PATIENCE_MS);
	close(server);
	close(client);
	socket_unlink(&a, &made);
	assert_int_equal(stat(path, &st), -1);
	socket_unlink(&a, &made);
}

static void
somebody_listening_is_eaddrinuse(void **state)
{
	int fds[SOCKET_LISTEN_MOST], more[SOCKET_LISTEN_MOST], client;
	struct addr a = address(path);

	(void)state;
	assert_int_equal(socket_listen(&a, &usual, fds, &made), 1);
	assert_int_equal(socket_listen(&a, &usual, more, &none), -EADDRINUSE);
	/* and the first is still there */
	assert_int_equal(connect_to(&a, &client), 0);
	close(client);
	close(fds[0]);
	socket_unlink(&a, &made);
}

static void
stale_socket_is_replaced(void **state)
{
	int fds[SOCKET_LISTEN_MOST], client;
	struct addr a = address(path);

	(void)state;
	assert_int_equal(socket_listen(&a, &usual, fds, &made), 1);
	close(fds[0]);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(connect_to(&a, &client), -ENOTCONN);
	assert_int_equal(socket_listen(&a, &usual, fds, &made), 1);
	assert_int_equal(connect_to(&a, &client), 0);
	close(client);
	close(fds[0]);
	socket_unlink(&a, &made);
}

static void
foreign_file_is_left_alone(void **state)
{
	struct addr a = address(path);
	int fds[SOCKET_LISTEN_MOST], fd = open(path, O_CREAT | O_WRONLY, 0600), client;
	char back[8];

	(void)state;
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	assert_int_equal(socket_listen(&a, &usual, fds, &made), -EADDRINUSE);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, back, 8), 8);
	assert_memory_equal(back, "precious", 8);
	close(fd);
	assert_true(connect_to(&a, &client) < 0);
	unlink(path);
}

static void
nobody_there_is_enotconn(void **state)
{
	struct addr a = address(path), tcp = address("tcp:127.0.0.1:1"),
		    abstract = address("abstract:nobody.at.all");
	int client = 4711;

	(void)state;
	assert_int_equal(connect_to(&a, &client), -ENOTCONN);
	assert_int_equal(connect_to(&abstract, &client), -ENOTCONN);
	assert_int_equal(connect_to(&tcp, &client), -ENOTCONN);
	assert_int_equal(client, 4711);
}

/* All bytes of an abstract name count: padded and exact names differ. */
static void
abstract_names_are_exact_or_padded(void **state)
{
	char text[64], padded_text[40];
	int fds[SOCKET_LISTEN_MOST], server, client, r;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct addr exact, padded;

	(void)state;
	snprintf(padded_text, sizeof padded_text, "/test_addr.%ld", (long)getpid());
	snprintf(text, sizeof text, "abstract:%s", padded_text);
	exact = address(text);
	assert_int_equal(addr_parse(&padded, padded_text, ADDR_ABSTRACT), 0);
	meet(&exact, &exact, &server, &client);
	close(server);
	close(client);
	meet(&padded, &padded, &server, &client);
	close(server);
	close(client);

	assert_int_equal(socket_listen(&padded, &usual, fds, &made), 1);
	assert_int_equal(connect_to(&exact, &client), -ENOTCONN);
	/* as Phoenix connects: the whole of sun_path, zeros behind the name */
	memcpy(sun.sun_path + 1, padded_text, strlen(padded_text));
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	r = connect(client, (struct sockaddr *)&sun, sizeof sun);
	assert_int_equal(r, 0);
	close(client);
	close(fds[0]);
	socket_unlink(&padded, &made);
}

/* The same for the number form of Phoenix. */
static void
pipe_number_is_a_padded_name(void **state)
{
	struct addr a = address("pipe:2011863273");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fds[SOCKET_LISTEN_MOST], client = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(socket_listen(&a, &usual, fds, &made), 1);
	memcpy(sun.sun_path + 1, "/graphene/123456/77ea98e9", 25);
	assert_int_equal(connect(client, (struct sockaddr *)&sun, sizeof sun), 0);
	close(client);
	close(fds[0]);
}

static int
socket_option(int fd, int level, int option)
{
	socklen_t size = sizeof(int);
	int value = 0;

	assert_int_equal(getsockopt(fd, level, option, &value, &size), 0);
	return value;
}

/* Returns the port that the kernel chose for a socket. */
static unsigned
port_of(int fd)
{
	struct sockaddr_storage any;
	socklen_t size = sizeof any;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &size), 0);
	if (any.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&any)->sin6_port);
	return ntohs(((struct sockaddr_in *)&any)->sin_port);
}

/* When a peer has vanished: with bytes to it on their way, and without. */
static void
expect_noticed(int fd, int ms)
{
	int idle = socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE);
	int interval = socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL);
	int count = socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT);

	assert_int_equal(socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), ms);
	assert_int_equal(idle + interval * count, SOCKET_IDLE_MS / 1000);
}

static void
tcp_connection_is_tuned_and_described(void **state)
{
	struct addr any = address("tcp:127.0.0.1:0"), a;
	char text[64], name[ADDR_TEXT_SIZE];
	int fds[SOCKET_LISTEN_MOST], client, server;

	(void)state;
	assert_int_equal(socket_listen(&any, &usual, fds, &made), 1);
	snprintf(text, sizeof text, "tcp:127.0.0.1:%u", port_of(fds[0]));
	a = address(text);
	assert_int_equal(connect_to(&a, &client), 0);
	socket_tune(client, PATIENCE_MS);
	assert_true(socket_option(client, IPPROTO_TCP, TCP_NODELAY));
	assert_true(socket_option(client, SOL_SOCKET, SO_KEEPALIVE));
	server = accept(fds[0], NULL, NULL);
	assert_true(server >= 0);
	expect_noticed(client, PATIENCE_MS);
	socket_tune(server, SOCKET_IDLE_MS);
	assert_true(socket_option(server, IPPROTO_TCP, TCP_NODELAY));
	assert_true(socket_option(server, SOL_SOCKET, SO_KEEPALIVE));
	expect_noticed(server, SOCKET_IDLE_MS);
	socket_describe_peer(server, name);
	snprintf(text, sizeof text, "127.0.0.1:%u", port_of(client));
	assert_string_equal(name, text);
	socket_unlink(&a, &made);
	close(client);
	close(server);
	close(fds[0]);
}

static void
taken_tcp_port_is_eaddrinuse_and_nothing_is_left(void **state)
{
	struct addr any = address("tcp:127.0.0.1:0"), a;
	int fds[SOCKET_LISTEN_MOST], more[SOCKET_LISTEN_MOST], before, after;
	char text[64];

	(void)state;
	assert_int_equal(socket_listen(&any, &usual, fds, &made), 1);
	snprintf(text, sizeof text, "tcp:127.0.0.1:%u", port_of(fds[0]));
	a = address(text);
	before = dup(0);
	close(before);
	assert_int_equal(socket_listen(&a, &usual, more, &none), -EADDRINUSE);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
	close(fds[0]);
}

static void
address_of_another_host_is_eaddrnotavail(void **state)
{
	struct addr a = address("tcp:192.0.2.1:0"); /* TEST-NET-1, RFC 5737 */
	int fds[SOCKET_LISTEN_MOST];

	(void)state;
	assert_int_equal(socket_listen(&a, &usual, fds, &made), -EADDRNOTAVAIL);
}

static void
host_without_an_address_is_enxio(void **state)
{
	struct addr a = address("tcp:nowhere..invalid:1");
	int fds[SOCKET_LISTEN_MOST], client = 4711;

	(void)state;
	assert_int_equal(socket_listen(&a, &usual, fds, &made), -ENXIO);
	assert_int_equal(connect_to(&a, &client), -ENXIO);
	assert_int_equal(client, 4711);
}

/* "localhost" may be several addresses: the one that listens is found. */
static void
every_address_of_a_host_is_tried(void **state)
{
	struct addr any = address("tcp:127.0.0.1:0"), a;
	int fds[SOCKET_LISTEN_MOST], client;
	char text[64];

	(void)state;
	assert_int_equal(socket_listen(&any, &usual, fds, &made), 1);
	snprintf(text, sizeof text, "tcp:localhost:%u", port_of(fds[0]));
	a = address(text);
	assert_int_equal(connect_to(&a, &client), 0);
	close(client);
	close(fds[0]);
}

static void
every_address_listens(void **state)
{
	struct addr any = address("tcp:*:0"), a;
	int fds[SOCKET_LISTEN_MOST], client, count, i, listening = -1;
	char text[64];

	(void)state;
	count = socket_listen(&any, &usual, fds, &made);
	assert_true(count >= 1);
	for (i = 0; i < count && listening == -1; i++) {
		snprintf(text, sizeof text, "tcp:127.0.0.1:%u", port_of(fds[i]));
		a = address(text);
		if (connect_to(&a, &client) == 0) {
			listening = i;
			close(client);
		}
	}
	assert_int_not_equal(listening, -1);
	close_all(fds, count);
}

/* Any process that may read the directory may hold its lock, and need not let it go. */
static void
a_lock_of_the_directory_does_not_stop_a_server(void **state)
{
	struct addr a = address(path);
	int fds[SOCKET_LISTEN_MOST], client, lock = open(dir, O_RDONLY | O_CLOEXEC);
	uint64_t start = clock_now(), took;

	(void)state;
	/* A wait without end must fail the test, not stop it. */
	alarm((unsigned)(patience_ms(PATIENCE_MS) / 1000));
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_int_equal(socket_listen(&a, &usual, fds, &made), 1);
	assert_int_equal(connect_to(&a, &client), 0);
	socket_unlink(&a, &made);
	took = clock_now() - start;
	alarm(0);
	assert_int_equal(access(path, F_OK), -1);
	if (patience_is_over(took, 4000))
		fail_msg("beginning and ending took %llu ms", (unsigned long long)(took / 1000000));
	close(client);
	close(fds[0]);
	close(lock);
}

/* Connecting to a server that does not accept waits as long as it was told, not for ever. */
static void
connecting_to_a_server_that_does_not_accept_times_out(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct addr a = address(path);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), waiting[16], client = 4711, count, r;

	(void)state;
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
	assert_int_equal(bind(listener, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_int_equal(listen(listener, 0), 0);
	for (count = 0; count < 16; count++) {
		waiting[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(waiting[count], (struct sockaddr *)&sun, sizeof sun) != 0)
			break;
	}
	assert_true(count < 16);
	r = socket_connect(&a, clock_after_ms(clock_now(), 30), &client);
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(client, 4711);
	close_all(waiting, count + 1);
	close(listener);
	unlink(path);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_of_unix_addresses),
		cmocka_unit_test(forms_of_tcp_addresses),
		cmocka_unit_test(what_is_no_address_is_einval),
		cmocka_unit_test(names_that_do_not_fit_are_refused),
		cmocka_unit_test(unix_socket_has_mode_0660_and_goes_with_unlink),
		cmocka_unit_test(somebody_listening_is_eaddrinuse),
		cmocka_unit_test(stale_socket_is_replaced),
		cmocka_unit_test(foreign_file_is_left_alone),
		cmocka_unit_test(nobody_there_is_enotconn),
		cmocka_unit_test(abstract_names_are_exact_or_padded),
		cmocka_unit_test(pipe_number_is_a_padded_name),
		cmocka_unit_test(tcp_connection_is_tuned_and_described),
		cmocka_unit_test(taken_tcp_port_is_eaddrinuse_and_nothing_is_left),
		cmocka_unit_test(address_of_another_host_is_eaddrnotavail),
		cmocka_unit_test(host_without_an_address_is_enxio),
		cmocka_unit_test(every_address_of_a_host_is_tried),
		cmocka_unit_test(every_address_listens),
		cmocka_unit_test(a_lock_of_the_directory_does_not_stop_a_server),
		cmocka_unit_test(connecting_to_a_server_that_does_not_accept_times_out),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
