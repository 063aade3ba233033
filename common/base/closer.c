#include "common/base/closer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/rights.h"

enum { DEPTH_MOST = 8 }; /* of sockets that lie on sockets; Linux allowed 4 before 6.10 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static int queue[CLOSER_QUEUE_MOST]; /* a ring */
static size_t head, count;
static bool has_thread;

/* Receives what lies on the unix socket fd into came. False when nothing is left. */
static bool
receive_next(int fd, struct rights *came)
{
	char bytes[4096];
	struct iovec part = { bytes, sizeof bytes };

	return rights_receive(fd, &part, 1, came) > 0;
}

/* Nothing can be received from such a socket, and another process may go on to listen at it. */
static bool
is_listening(int fd)
{
	int listens = 0;
	socklen_t size = sizeof listens;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

static void
dispose(int fd, int depth)
{
	struct linger none = { 0 };
	struct rights came;

	/* Fails for what is no socket. */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	if (depth < DEPTH_MOST && rights_may_come(fd) && !is_listening(fd)) {
		/* No more can be sent to it then. */
		(void)shutdown(fd, SHUT_RDWR);
		while (receive_next(fd, &came))
			while (came.count > 0)
				dispose(came.fds[--came.count], depth + 1);
	}
	(void)close(fd);
}

static void *
run(void *unused)
{
	int fd;

	(void)unused;
	(void)pthread_mutex_lock(&mutex);
	for (;;) {
		while (count == 0)
			(void)pthread_cond_wait(&filled, &mutex);
		fd = queue[head];
		(void)pthread_mutex_unlock(&mutex);
		dispose(fd, 0);
		(void)pthread_mutex_lock(&mutex);
		/* The descriptor kept its place in the queue until it was closed. */
		head = (head + 1) % CLOSER_QUEUE_MOST;
		count--;
	}
	return NULL;
}

/* Called with the mutex. Starts the thread, if there is none, with all signals blocked. */
static bool
start(void)
{
	sigset_t all, before;
	pthread_t thread;

	if (has_thread)
		return true;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	has_thread = pthread_create(&thread, NULL, run, NULL) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (has_thread)
		(void)pthread_detach(thread);
	return has_thread;
}

void
closer_close(int fd)
{
	bool is_queued;

	(void)pthread_mutex_lock(&mutex);
	is_queued = count < CLOSER_QUEUE_MOST && start();
	if (is_queued) {
		queue[(head + count++) % CLOSER_QUEUE_MOST] = fd;
		(void)pthread_cond_signal(&filled);
	}
	(void)pthread_mutex_unlock(&mutex);
	if (!is_queued)
		dispose(fd, 0);
}

ssize_t
closer_receive(int fd, struct iovec *parts, size_t part_count)
{
	struct rights came;
	ssize_t n = rights_receive(fd, parts, part_count, &came);

	if (came.count == 0)
		return n;
	while (came.count > 0)
		closer_close(came.fds[--came.count]);
	errno = EPROTO;
	return -1;
}

bool
closer_has_thread(void)
{
	bool has;

	(void)pthread_mutex_lock(&mutex);
	has = has_thread;
	(void)pthread_mutex_unlock(&mutex);
	return has;
}
