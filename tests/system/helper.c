/*
 * helper: functions that the scripts of this folder need and a shell does not have.
 *
 *	helper probe SECONDS unix PATH | abstract NAME | padded NAME | tcp HOST PORT
 *		asks the server there for an empty table, in plaintext; exits with 0 when it
 *		replies, 1 when no server listens, 2 when there is another reply, or none within
 *		SECONDS
 *	helper pass SOCKET... -- PROGRAM [ARGUMENT...]
 *		listens on each SOCKET, unix:PATH or tcp:PORT (of 127.0.0.1), or opens file:PATH,
 *		and executes the program with these as its descriptors 3, 4, ... as systemd does;
 *		without-pid: the variable that names their process names another one
 *	helper hear PATH
 *		prints the datagrams to the socket PATH, @NAME for an abstract one, a line each,
 *		until it is killed
 *	helper deaf PATH
 *		has the socket PATH and never reads a datagram, until it is killed
 *	helper fill PATH
 *		sends datagrams to the socket PATH until it has no room for more
 *	helper send PATH TEXT
 *		sends a datagram to the socket PATH, @NAME for an abstract one
 *	helper port
 *		prints a free TCP port of 127.0.0.1
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPLY_SIZE = 8, FIRST_FD = 3, MESSAGE_SIZE = 256 };

struct target {
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct sockaddr_in in;
	} u;
	socklen_t size;
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "helper: %s: %s\n", what, strerror(errno));
	exit(2);
}

static struct target
unix_target(const char *path, int is_abstract, int is_padded)
{
	struct target t = { .u.un.sun_family = AF_UNIX };
	size_t n = strlen(path);

	memcpy(t.u.un.sun_path + is_abstract, path, n);
	t.size = sizeof t.u.un;
	if (is_abstract && !is_padded)
		t.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
	return t;
}

static struct target
tcp_target(const char *host, const char *port)
{
	struct target t = { .u.in.sin_family = AF_INET, .size = sizeof t.u.in };

	if (inet_pton(AF_INET, host, &t.u.in.sin_addr) != 1)
		die(host);
	t.u.in.sin_port = htons((uint16_t)atoi(port));
	return t;
}

static struct target
parse_probe(char **argv)
{
	if (strcmp(argv[0], "tcp") == 0)
		return tcp_target(argv[1], argv[2]);
	return unix_target(argv[1], strcmp(argv[0], "unix") != 0, strcmp(argv[0], "padded") == 0);
}

static int
probe(char **argv)
{
	static const uint8_t request[REPLY_SIZE], expected[REPLY_SIZE];
	struct timeval limit = { .tv_sec = atoi(argv[0]) };
	struct target t = parse_probe(argv + 1);
	int fd = socket(t.u.sa.sa_family, SOCK_STREAM, 0);
	uint8_t reply[REPLY_SIZE];

	if (connect(fd, &t.u.sa, t.size) != 0)
		return errno == ECONNREFUSED || errno == ENOENT ? 1 : 2;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (send(fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request ||
	    recv(fd, reply, sizeof reply, MSG_WAITALL) != sizeof reply ||
	    memcmp(reply, expected, sizeof reply) != 0)
		return 2;
	return 0;
}

/* Opens a file or socket to pass. */
static int
open_passed(const char *what)
{
	struct target t;
	int fd;

	if (strncmp(what, "file:", 5) == 0)
		return open(what + 5, O_RDWR | O_CREAT, 0600);
	t = strncmp(what, "tcp:", 4) == 0 ? tcp_target("127.0.0.1", what + 4) :
					    unix_target(what + 5, 0, 0);
	fd = socket(t.u.sa.sa_family, SOCK_STREAM, 0);
	if (bind(fd, &t.u.sa, t.size) != 0 || listen(fd, 16) != 0)
		die(what);
	return fd;
}

static int
pass(char **argv)
{
	long pid = getpid();
	char number[24];
	int fd, count = 0;

	if (strcmp(*argv, "without-pid") == 0) {
		pid = getppid();
		argv++;
	}
	for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++, count++) {
		fd = open_passed(*argv);
		if (fd < 0)
			die(*argv);
		if (fd != FIRST_FD + count && dup2(fd, FIRST_FD + count) < 0)
			die("dup2");
	}
	snprintf(number, sizeof number, "%ld", pid);
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof number, "%d", count);
	setenv("LISTEN_FDS", number, 1);
	execv(argv[1], argv + 1);
	die(argv[1]);
}

static int
bind_datagrams(const char *path)
{
	struct target t = unix_target(path + (*path == '@'), *path == '@', 0);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (bind(fd, &t.u.sa, t.size) != 0)
		die(path);
	printf("listening\n");
	fflush(stdout);
	return fd;
}

static int
deaf(char **argv)
{
	bind_datagrams(argv[0]);
	return pause();
}

static int
fill(char **argv)
{
	struct target t = unix_target(argv[0], 0, 0);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	while (sendto(fd, "x", 1, MSG_DONTWAIT, &t.u.sa, t.size) == 1)
		;
	if (errno != EAGAIN)
		die(argv[0]);
	return 0;
}

static int
hear(char **argv)
{
	int fd = bind_datagrams(argv[0]);
	char message[MESSAGE_SIZE];
	ssize_t n;

	while ((n = recv(fd, message, sizeof message, 0)) >= 0) {
		printf("%.*s\n", (int)n, message);
		fflush(stdout);
	}
	return 2;
}

static int
send_text(char **argv)
{
	struct target t = unix_target(argv[0] + (*argv[0] == '@'), *argv[0] == '@', 0);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (sendto(fd, argv[1], strlen(argv[1]), 0, &t.u.sa, t.size) < 0)
		die(argv[0]);
	return 0;
}

static int
print_port(void)
{
	struct target t = tcp_target("127.0.0.1", "0");
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, &t.u.sa, t.size) != 0 || getsockname(fd, &t.u.sa, &t.size) != 0)
		die("port");
	printf("%d\n", ntohs(t.u.in.sin_port));
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "probe") == 0)
		return probe(argv + 2);
	if (argc >= 4 && strcmp(argv[1], "pass") == 0)
		return pass(argv + 2);
	if (argc == 3 && strcmp(argv[1], "hear") == 0)
		return hear(argv + 2);
	if (argc == 3 && strcmp(argv[1], "deaf") == 0)
		return deaf(argv + 2);
	if (argc == 3 && strcmp(argv[1], "fill") == 0)
		return fill(argv + 2);
	if (argc == 4 && strcmp(argv[1], "send") == 0)
		return send_text(argv + 2);
	if (argc == 2 && strcmp(argv[1], "port") == 0)
		return print_port();
	fprintf(stderr, "helper: see the top of helper.c\n");
	return 2;
}
