#include "tests/torture/own.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/torture/handles.h"

enum { NUMBERS = 48, FILE_SIZE = 64 * 1024, OWN_BYTE = 0x3c, FIRST = 3 };

/* Files, and one end each of pairs of sockets. */
static struct {
	int count;
	int numbers[NUMBERS];
	int others[NUMBERS]; /* the other end; -1: a file */
	ino_t inodes[NUMBERS];
} own;

static int
open_file(void)
{
	char bytes[FILE_SIZE];
	int fd = memfd_create("own", 0);

	memset(bytes, OWN_BYTE, sizeof bytes);
	if (fd >= 0 &&
	    (write(fd, bytes, sizeof bytes) != sizeof bytes || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Returns false when the process may have no more. */
static bool
open_one(void)
{
	int ends[2] = { -1, -1 }, n = own.count;
	struct stat st;

	if (n % 2 == 0)
		ends[0] = open_file();
	if (ends[0] == -1 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		return false;
	if (fstat(ends[0], &st) != 0)
		return false;
	own.numbers[n] = ends[0];
	own.others[n] = ends[1];
	own.inodes[n] = st.st_ino;
	own.count++;
	return true;
}

static void
close_all(void)
{
	/* The process's limit may be smaller than the files. */
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);

	(void)close_range(FIRST, LEDGER_CROWD - 1, 0);
	closefrom(LEDGER_CROWD + 1);
	own.count = 0;
	while (own.count < NUMBERS && open_one())
		;
	(void)signal(SIGXFSZ, old);
}

void
own_close_all(struct actor *a)
{
	/* A thread that holds the table's lock may have a file of ours open. */
	handles_lock(a->handles);
	if (!ledger_exclude_calls(&a->seat)) {
		handles_unlock(a->handles);
		return;
	}
	/* First: from then on others may get the locks of this process. */
	atomic_store(&a->seat.process->is_void, true);
	close_all();
	ledger_admit_calls(&a->seat);
	handles_unlock(a->handles);
	ledger_add(a->seat.ledger, LEDGER_CLOSED_ALL);
}

/* What has been done to it; NULL: nothing. */
static const char *
judge_file(int fd)
{
	char bytes[FILE_SIZE], expected[FILE_SIZE];
	struct stat st;

	memset(expected, OWN_BYTE, sizeof expected);
	if (fstat(fd, &st) != 0 || st.st_size != FILE_SIZE)
		return "has another length";
	if (lseek(fd, 0, SEEK_CUR) != 0)
		return "has been read";
	if (pread(fd, bytes, sizeof bytes, 0) != sizeof bytes ||
	    memcmp(bytes, expected, sizeof bytes) != 0)
		return "has been written to";
	return NULL;
}

static const char *
judge_socket(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n == 0)
		return "has been shut down, or its other end closed";
	if (n == 1)
		return "has got bytes";
	return errno == EAGAIN ? NULL : strerror(errno);
}

static const char *
judge(int n)
{
	struct stat st;
	const char *fault;

	if (fstat(own.numbers[n], &st) != 0)
		return "has been closed";
	if (st.st_ino != own.inodes[n])
		return "has been closed, and is another one";
	if (own.others[n] == -1)
		return judge_file(own.numbers[n]);
	fault = judge_socket(own.numbers[n]);
	return fault != NULL ? fault : judge_socket(own.others[n]);
}

void
own_check(const struct actor *a)
{
	const char *fault;
	int i;

	handles_lock(a->handles);
	for (i = 0; i < own.count; i++) {
		fault = judge(i);
		if (fault != NULL)
			ledger_complain(&a->seat, "the program's own descriptor %d, a %s, %s",
			    own.numbers[i], own.others[i] == -1 ? "file" : "socket", fault);
	}
	handles_unlock(a->handles);
}
