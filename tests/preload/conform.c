/*
 * conform DIRECTORY: prints a line for each row of the table: its name and what came of it. The
 * rows are in conform_*.c; nothing here knows of memory files.
 *
 *	conform after FD	for a row of its own: what flock(2) says after exec
 */
#include "tests/preload/conform.h"

#include <err.h>

enum { ROW_SECONDS = 60, TEXT_SIZE = 128 };

char directory[DIRECTORY_SIZE], path[PATH_SIZE];

char *
path_with(const char *suffix)
{
	static char text[PATH_SIZE + DIRECTORY_SIZE];

	snprintf(text, sizeof text, "%s%s", path, suffix);
	return text;
}

const char *
outcome(long result)
{
	return result != -1 ? "0" : strerrorname_np(errno);
}

const char *
number(long n)
{
	static char text[32];

	snprintf(text, sizeof text, "%ld", n);
	return text;
}

/* Ends the row with what went wrong before it began. */
static void __attribute__((noreturn)) give_up(const char *what)
{
	printf("%s: %s", what, strerrorname_np(errno));
	fflush(stdout);
	_exit(0);
}

int
make(int flags)
{
	int fd = open(path, flags | O_CREAT, 0660);

	if (fd == -1)
		give_up("open");
	return fd;
}

int
make_page(void)
{
	int fd = make(O_RDWR);

	if (ftruncate(fd, PAGE) != 0)
		give_up("ftruncate");
	return fd;
}

char *
map_page(int fd)
{
	char *base = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		give_up("mmap");
	return base;
}

int
lock_bytes(int fd, int command, int type, off_t begin, off_t length)
{
	struct flock lock = { .l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = begin,
		.l_len = length };

	return fcntl(fd, command, &lock);
}

const char *
in_child(const char *(*try)(int fd), int fd)
{
	static char text[TEXT_SIZE];
	int ends[2], status;
	ssize_t n;
	pid_t child;

	if (pipe(ends) != 0 || (child = fork()) == -1)
		give_up("fork");
	if (child == 0) {
		const char *said = try(fd);

		_exit(write(ends[1], said, strlen(said)) == -1);
	}
	close(ends[1]);
	n = read(ends[0], text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : text;
}

const char *
try_write(int fd)
{
	(void)fd;
	return outcome(lock_bytes(open(path, O_RDWR), F_SETLK, F_WRLCK, 0, 0));
}

const char *
try_read(int fd)
{
	(void)fd;
	return outcome(lock_bytes(open(path, O_RDWR), F_SETLK, F_RDLCK, 0, 0));
}

/* In a process of its own: prints what the row says. */
static void
run(const struct row *row)
{
	int status;
	pid_t child;

	snprintf(path, sizeof path, "%s/%s", directory, row->name);
	printf("%s: ", row->name);
	fflush(stdout);
	child = fork();
	if (child == -1)
		err(1, "fork");
	if (child == 0) {
		alarm(ROW_SECONDS);
		fputs(row->run(), stdout);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, &status, 0);
	puts(WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
}

static void
run_all(const struct row *rows)
{
	for (; rows->name != NULL; rows++)
		run(rows);
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "after") == 0) {
		fputs(outcome(flock(atoi(argv[2]), LOCK_EX | LOCK_NB)), stdout);
		return 0;
	}
	if (argc != 2 || strlen(argv[1]) >= DIRECTORY_SIZE)
		errx(2, "usage: conform DIRECTORY");
	strcpy(directory, argv[1]);
	run_all(rows_open);
	run_all(rows_size);
	run_all(rows_map);
	run_all(rows_lock);
	run_all(rows_rest);
	return 0;
}
