/*
 * A peer that passes descriptors whose close(2) takes long holds up nobody. The program is built
 * twice: as it is, and as on a kernel without SO_PASSRIGHTS (test_closer_no_option).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/closer.h"
#include "common/base/rights.h"
#include "common/wire/addr.h"
#include "common/wire/socket.h"
#include "common/wire/stream.h"
#include "tests/stress/patience.h"

enum { LINGER_S = 600, AT_ONCE_MS = 500, FDS_MOST = 4096 };

static struct addr address;
static int listener = -1, sink = -1; /* our socket; a TCP socket where nobody accepts or reads */
static const struct socket_access usual = { .mode = 0660, .group = (gid_t)-1 };
static struct socket_file file;

/* close(2) of this descriptor waits for the semaphore. */
static int slow_fd = -1;
static sem_t slow_end;

/*
 * ThreadSanitizer does not see what this closes, and takes the next descriptor of that number for
 * the same one.
 */
#if defined(__SANITIZE_THREAD__)
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);

const char *
__tsan_default_suppressions(void)
{
	return "race:receive_next\n";
}
#endif

int
close(int fd)
{
	if (fd >= 0 && fd == __atomic_load_n(&slow_fd, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&slow_fd, -1, __ATOMIC_RELEASE);
		while (sem_wait(&slow_end) != 0)
			;
	}
	return (int)syscall(SYS_close, fd);
}

static bool
has_no_option(void)
{
	return strstr(program_invocation_short_name, "no_option") != NULL;
}

static int
begin(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct rlimit files = { FDS_MOST, FDS_MOST };
	char text[64];
	int fds[SOCKET_LISTEN_MOST];

	(void)state;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	snprintf(text, sizeof text, "abstract:memserver-closer-%ld", (long)getpid());
	assert_int_equal(addr_parse(&address, text, 0), 0);
	assert_int_equal(socket_listen(&address, &usual, fds, &file), 1);
	listener = fds[0];
	sink = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(sink, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(listen(sink, 64), 0);
	assert_int_equal(sem_init(&slow_end, 0, 0), 0);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	close(listener);
	close(sink);
	return 0;
}

static unsigned
count_descriptors(void)
{
	unsigned count = 0;
	int fd;

	for (fd = 0; fd < FDS_MOST; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* A TCP socket with bytes that never arrive: closing it takes LINGER_S. */
static int
make_lingering(void)
{
	static const char bytes[64 * 1024];
	const struct linger linger = { 1, LINGER_S };
	struct sockaddr_in in;
	socklen_t size = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(sink, (struct sockaddr *)&in, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* Sends a byte with a descriptor, and closes that. Returns sendmsg(2)'s errno. */
static int
pass(int socket, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { "x", 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *c;
	struct linger none = { 0 };
	int error;

	m.msg_control = &control;
	m.msg_controllen = sizeof control.room;
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	error = sendmsg(socket, &m, MSG_NOSIGNAL) == 1 ? 0 : errno;
	if (error != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(fd);
	return error;
}

/* A socket, not accepted by anybody, on which a lingering socket lies; levels of these. */
static int
make_nested(int levels)
{
	int fds[2];

	if (levels == 0)
		return make_lingering();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(pass(fds[0], make_nested(levels - 1)), 0);
	close(fds[0]);
	return fds[1];
}

/* Connects; *accepted is the server's stream. Returns the peer's socket. */
static int
meet(struct stream **accepted)
{
	int peer, fd;

	assert_int_equal(socket_connect(&address, patience_until(PATIENCE_MS), &peer), 0);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(stream_create_accepted(accepted, fd, NULL), 0);
	return peer;
}

static bool
kernel_refuses(const struct stream *s)
{
	bool refuses = !rights_may_come(stream_fd(s));

	if (has_no_option())
		assert_false(refuses);
	return refuses;
}

static void
expect_quick(uint64_t begin_ns, const char *what)
{
	uint64_t took = clock_now() - begin_ns;

	if (patience_is_over(took, AT_ONCE_MS))
		fail_msg("%s took %llu ms", what, (unsigned long long)(took / 1000000));
}

/* The closer has closed all that this process had not before. */
static void
await_descriptors(unsigned count)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	while (count_descriptors() != count) {
		if (clock_now() >= deadline)
			fail_msg("expected %u descriptors, there are %u", count,
			    count_descriptors());
		patience_breathe();
	}
}

/* A library makes no thread; the kernel closes what a host passes. To be the first test. */
static void
a_client_gets_no_descriptors_and_no_thread(void **state)
{
	int fds[2];
	unsigned before;
	struct stream *s;
	char byte = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(stream_create(&s, fds[0], NULL, NULL), 0);
	before = count_descriptors();
	assert_int_equal(pass(fds[1], open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
	assert_int_equal(stream_read(s, &byte, 1), 1);
	assert_int_equal(count_descriptors(), before);
	stream_destroy(s);
	close(fds[1]);
	assert_false(closer_has_thread());
}

static void
where_the_kernel_refuses_there_is_no_thread(void **state)
{
	unsigned before = count_descriptors();
	struct stream *s;
	int peer = meet(&s);
	char byte = 0;

	(void)state;
	if (!kernel_refuses(s)) {
		close(peer);
		stream_destroy(s);
		await_descriptors(before);
		skip();
	}
	assert_int_equal(pass(peer, make_lingering()), EPERM);
	assert_int_equal(send(peer, "y", 1, 0), 1);
	assert_int_equal(stream_read(s, &byte, 1), 1);
	assert_int_equal(byte, 'y');
	stream_destroy(s);
	close(peer);
	assert_false(closer_has_thread());
}

/* The connection was made before the listening socket refused descriptors, or no kernel does. */
static int
meet_with_rights(struct stream **accepted)
{
	int one = 1, peer, fd;

	/* 83: SO_PASSRIGHTS. */
	(void)setsockopt(listener, SOL_SOCKET, 83, &one, sizeof one);
	assert_int_equal(socket_connect(&address, patience_until(PATIENCE_MS), &peer), 0);
	rights_refuse(listener);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	assert_true(rights_may_come(fd));
	assert_int_equal(stream_create_accepted(accepted, fd, NULL), 0);
	return peer;
}

static void
descriptors_end_the_connection(void **state)
{
	unsigned before = count_descriptors();
	uint64_t start;
	struct stream *s;
	int peer = meet_with_rights(&s);
	char byte;

	(void)state;
	assert_int_equal(send(peer, "y", 1, 0), 1);
	assert_int_equal(stream_read(s, &byte, 1), 1);
	assert_int_equal(pass(peer, make_lingering()), 0);
	start = clock_now();
	assert_int_equal(stream_read(s, &byte, 1), -EPROTO);
	assert_string_equal(stream_reason(s), "the peer passes descriptors");
	stream_destroy(s);
	expect_quick(start, "reading, and closing");
	close(peer);
	await_descriptors(before);
	assert_true(closer_has_thread());
}

static void
descriptors_that_nobody_reads_do_not_hold_up_the_end(void **state)
{
	unsigned before = count_descriptors(), i;
	uint64_t start;
	struct stream *s;
	int peer = meet_with_rights(&s), levels;

	(void)state;
	for (i = 0; i < 3; i++)
		for (levels = 0; levels < 4; levels++)
			assert_int_equal(pass(peer, make_nested(levels)), 0);
	start = clock_now();
	stream_destroy(s);
	expect_quick(start, "closing");
	close(peer);
	/* The last that is closed comes after all these. */
	await_descriptors(before);
	expect_quick(start, "closing what the peer had passed");
}

static void
a_socket_that_lies_on_itself_is_closed(void **state)
{
	unsigned before = count_descriptors(), i;
	struct stream *s;
	int peer = meet_with_rights(&s), fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	for (i = 0; i < 20; i++)
		assert_int_equal(pass(fds[0], dup(fds[1])), 0);
	close(fds[0]);
	assert_int_equal(pass(peer, fds[1]), 0);
	stream_destroy(s);
	close(peer);
	await_descriptors(before);
}

static void
the_thread_takes_no_signals(void **state)
{
	unsigned count = count_descriptors();
	sigset_t one, before, pending;

	(void)state;
	closer_close(open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_true(closer_has_thread());
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, &before), 0);
	/* It would end the program if the thread took it. */
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(sigpending(&pending), 0);
	assert_true(sigismember(&pending, SIGUSR1));
	assert_int_equal(sigwaitinfo(&one, NULL), SIGUSR1);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	await_descriptors(count);
}

/* Another process, such as systemd, may have it too. */
static void
a_listening_socket_is_not_shut_down(void **state)
{
	unsigned before = count_descriptors();
	int peer;

	(void)state;
	closer_close(dup(listener));
	await_descriptors(before);
	assert_int_equal(socket_connect(&address, patience_until(PATIENCE_MS), &peer), 0);
	close(peer);
	close(accept(listener, NULL, NULL));
}

/* The queue is full while one close lasts: the caller closes the next itself. */
static void
a_full_queue_leaves_no_descriptor_open(void **state)
{
	unsigned before = count_descriptors(), i;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t start;

	(void)state;
	__atomic_store_n(&slow_fd, fd, __ATOMIC_RELEASE);
	closer_close(fd);
	for (i = 1; i < CLOSER_QUEUE_MOST; i++)
		closer_close(open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_int_equal(count_descriptors(), before + CLOSER_QUEUE_MOST);
	start = clock_now();
	for (i = 0; i < 10; i++)
		closer_close(make_lingering());
	assert_int_equal(count_descriptors(), before + CLOSER_QUEUE_MOST);
	expect_quick(start, "closing in the caller");
	assert_int_equal(sem_post(&slow_end), 0);
	await_descriptors(before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_gets_no_descriptors_and_no_thread),
		cmocka_unit_test(where_the_kernel_refuses_there_is_no_thread),
		cmocka_unit_test(descriptors_end_the_connection),
		cmocka_unit_test(descriptors_that_nobody_reads_do_not_hold_up_the_end),
		cmocka_unit_test(a_socket_that_lies_on_itself_is_closed),
		cmocka_unit_test(the_thread_takes_no_signals),
		cmocka_unit_test(a_listening_socket_is_not_shut_down),
		cmocka_unit_test(a_full_queue_leaves_no_descriptor_open),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, begin, end);
}
