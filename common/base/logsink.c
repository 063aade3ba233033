#include "common/base/logsink.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FLAGS = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, FD_PATH_SIZE = 32 };

_Static_assert(LOGSINK_LINE_SIZE <= PIPE_BUF, "a pipe takes a line as a whole, or not at all");

/* Writes to a new destination from now on. */
static void
move(struct logsink *s, int fd, bool is_owner, enum logsink_method method)
{
	const uint8_t *end;

	if (s->is_torn) {
		end = memchr(buf_data(&s->queue), '\n', buf_size(&s->queue));
		assert(end != NULL);
		buf_consume(&s->queue, (size_t)(end + 1 - buf_data(&s->queue)));
		s->is_torn = false;
		s->lost++;
		s->untold++;
	}
	s->is_cut = false;
	if (s->is_owner)
		close(s->fd);
	s->fd = fd;
	s->is_owner = is_owner;
	s->method = method;
	s->error = 0;
	/* So that the rest of a torn line has a place, whatever happens to the memory. */
	buf_reserve(&s->queue, LOGSINK_LINE_SIZE);
}

void
logsink_use(struct logsink *s, int fd)
{
	char path[FD_PATH_SIZE];
	struct stat st;
	int own;

	/* Standard error may be a file whose offset others share: opened again it had its own. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		move(s, fd, false, LOGSINK_WRITE);
	} else if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
		move(s, fd, false, LOGSINK_SEND);
	} else {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		own = open(path, OPEN_FLAGS);
		move(s, own < 0 ? fd : own, own >= 0, own < 0 ? LOGSINK_POLL : LOGSINK_WRITE);
	}
}

int
logsink_open(struct logsink *s, const char *path)
{
	int fd = open(path, OPEN_FLAGS | O_CREAT, 0640);

	if (fd < 0)
		return -errno;
	move(s, fd, true, LOGSINK_WRITE);
	return 0;
}

void
logsink_close(struct logsink *s)
{
	if (s->is_owner)
		close(s->fd);
	buf_fini(&s->queue);
	*s = (struct logsink){ .fd = -1, .method = LOGSINK_DISCARD, .lost = s->lost };
}

static ssize_t
write_when_polled(int fd, const void *data, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, data, size);
}

/* Returns how many bytes the destination has taken; sets s->error if not all. */
static size_t
write_some(struct logsink *s, const void *data, size_t size)
{
	ssize_t n = (ssize_t)size;

	if (s->method == LOGSINK_WRITE)
		n = write(s->fd, data, size);
	else if (s->method == LOGSINK_SEND)
		n = send(s->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (s->method == LOGSINK_POLL)
		n = write_when_polled(s->fd, data, size);
	if (n == (ssize_t)size)
		s->error = 0;
	else
		s->error = n < 0 && errno != EINTR ? errno : EAGAIN;
	return n < 0 ? 0 : (size_t)n;
}

/* Ends the part of a line whose rest is lost. Returns false while that cannot be written. */
static bool
end_cut_line(struct logsink *s)
{
	if (s->is_cut && write_some(s, "\n", 1) == 1)
		s->is_cut = false;
	return !s->is_cut;
}

bool
logsink_has_pending(const struct logsink *s)
{
	return buf_size(&s->queue) > 0 && (s->error == EAGAIN || s->error == 0);
}

void
logsink_flush(struct logsink *s)
{
	const uint8_t *line, *end;
	size_t size, written;

	if (buf_size(&s->queue) > 0 && !end_cut_line(s))
		return;
	while (buf_size(&s->queue) > 0) {
		line = buf_data(&s->queue);
		end = memchr(line, '\n', buf_size(&s->queue));
		assert(end != NULL);
		size = (size_t)(end + 1 - line);
		written = write_some(s, line, size);
		buf_consume(&s->queue, written);
		if (written < size) {
			s->is_torn = s->is_torn || written > 0;
			return;
		}
		s->is_torn = false;
	}
}

/* Writes or queues. Returns false when neither is possible. */
static bool
accept_line(struct logsink *s, const char *line, size_t size)
{
	size_t written = 0;

	assert(size > 0 && size <= LOGSINK_LINE_SIZE && line[size - 1] == '\n');
	if (!logsink_has_pending(s))
		logsink_flush(s);
	if (buf_size(&s->queue) == 0 && end_cut_line(s))
		written = write_some(s, line, size);
	if (written == size)
		return true;
	if (buf_size(&s->queue) + size - written > LOGSINK_QUEUE_SIZE ||
	    buf_append(&s->queue, line + written, size - written) != 0) {
		s->is_cut = s->is_cut || written > 0;
		return false;
	}
	s->is_torn = s->is_torn || written > 0;
	return true;
}

bool
logsink_put(struct logsink *s, const char *line, size_t size)
{
	if (s->untold == 0 && accept_line(s, line, size))
		return true;
	s->lost++;
	s->untold++;
	return false;
}

bool
logsink_may_tell(struct logsink *s)
{
	if (s->untold > 0 && !logsink_has_pending(s))
		logsink_flush(s);
	return s->untold > 0 && buf_size(&s->queue) <= LOGSINK_QUEUE_SIZE / 2;
}

void
logsink_tell(struct logsink *s, const char *line, size_t size)
{
	if (accept_line(s, line, size))
		s->untold = 0;
}
