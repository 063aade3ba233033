#include "tests/preload/conform.h"

int __open_2(const char *name, int flags);

static const char *
open_missing(void)
{
	return outcome(open(path, O_RDWR));
}

static const char *
open_create(void)
{
	return outcome(open(path, O_RDWR | O_CREAT, 0660));
}

static const char *
open_exclusive_new(void)
{
	return outcome(open(path, O_RDWR | O_CREAT | O_EXCL, 0660));
}

static const char *
open_exclusive_again(void)
{
	make(O_RDWR);
	return outcome(open(path, O_RDWR | O_CREAT | O_EXCL, 0660));
}

static const char *
open_truncate_empty(void)
{
	make(O_RDWR);
	return outcome(open(path, O_RDWR | O_TRUNC));
}

static const char *
open_truncate_sized(void)
{
	make_page();
	return outcome(open(path, O_RDWR | O_TRUNC));
}

static const char *
open_directory(void)
{
	make(O_RDWR);
	return outcome(open(path, O_RDONLY | O_DIRECTORY));
}

static const char *
open_path(void)
{
	make(O_RDWR);
	return outcome(open(path, O_PATH));
}

static const char *
open_tmpfile(void)
{
	return outcome(open(directory, O_RDWR | O_TMPFILE, 0660));
}

static const char *
open_mount(void)
{
	return outcome(open(directory, O_RDONLY));
}

static const char *
open_mount_write(void)
{
	return outcome(open(directory, O_RDWR));
}

static const char *
creat_new(void)
{
	return outcome(creat(path, 0660));
}

static const char *
openat_absolute(void)
{
	return outcome(openat(STDIN_FILENO, path, O_RDWR | O_CREAT, 0660));
}

static const char *
openat_dirfd(void)
{
	int root = open("/", O_RDONLY | O_DIRECTORY);

	make(O_RDWR);
	return outcome(openat(root, path + 1, O_RDWR));
}

static const char *
open_relative(void)
{
	make(O_RDWR);
	return chdir("/") == 0 ? outcome(open(path + 1, O_RDWR)) : "chdir";
}

static const char *
open_relative_up(void)
{
	char name[PATH_SIZE + 8];

	make(O_RDWR);
	snprintf(name, sizeof name, "../%s", path + 1);
	return chdir("/usr") == 0 ? outcome(open(name, O_RDWR)) : "chdir";
}

static const char *
open_after_daemon(int fd)
{
	(void)fd;
	return daemon(0, 0) == 0 ? outcome(open(path + 1, O_RDWR)) : "daemon";
}

/* The directory is known before daemon(3) changes it. */
static const char *
open_relative_daemon(void)
{
	make(O_RDWR);
	return chdir("/usr") == 0 && open("no/such", O_RDWR) == -1 ?
	    in_child(open_after_daemon, -1) :
	    "chdir";
}

static const char *
open_slashes(void)
{
	char name[2 * PATH_SIZE];

	make(O_RDWR);
	snprintf(name, sizeof name, "/%s//./%s", directory, path + strlen(directory) + 1);
	return outcome(open(name, O_RDWR));
}

/* The row's path with text behind its first slash, and the next ones if all. */
static const char *
open_with_inserted(const char *text, int all)
{
	char name[4 * PATH_SIZE], *next = name;
	const char *from;

	make(O_RDWR);
	for (from = path; *from != '\0'; from++) {
		*next++ = *from;
		if (*from == '/' && (from == path || all))
			next = stpcpy(next, text);
	}
	*next = '\0';
	return outcome(open(name, O_RDWR));
}

static const char *
open_slashes_within(void)
{
	return open_with_inserted("/", 1);
}

static const char *
open_dots_within(void)
{
	return open_with_inserted("./", 1);
}

static const char *
open_down_and_up(void)
{
	return open_with_inserted("./dev/../", 0);
}

/* Behind a component that is no mount point's: /dev is a directory of the host. */
static const char *
open_up_later(void)
{
	return open_with_inserted("dev/../", 0);
}

static const char *
open_relative_up_later(void)
{
	char name[PATH_SIZE + 16];

	make(O_RDWR);
	snprintf(name, sizeof name, "lib/../../%s", path + 1);
	return chdir("/usr") == 0 ? outcome(open(name, O_RDWR)) : "chdir";
}

/* Behind a component of the mount point, and behind the file's directory. */
static const char *
open_up_within(void)
{
	char name[4 * PATH_SIZE];
	int first = (int)strcspn(path + 1, "/") + 1;

	make(O_RDWR);
	snprintf(name, sizeof name, "%.*s/..%s/../%s", first, path, directory,
	    strrchr(directory, '/') + 1);
	strcat(name, path + strlen(directory));
	return outcome(open(name, O_RDWR));
}

static const char *
open_slash_behind(void)
{
	make(O_RDWR);
	return outcome(open(path_with("/"), O_RDONLY));
}

static const char *
open_below_it(void)
{
	make(O_RDWR);
	return outcome(open(path_with("/below"), O_RDWR | O_CREAT, 0660));
}

static const char *
open_long_name(void)
{
	char name[PATH_SIZE + 300];

	snprintf(name, sizeof name, "%s/%0260d", directory, 1);
	return outcome(open(name, O_RDWR | O_CREAT, 0660));
}

static const char *
open_lowest_number(void)
{
	close(STDIN_FILENO);
	return number(make(O_RDWR));
}

static const char *
open_lowest_number_locks(void)
{
	close(STDIN_FILENO);
	make(O_RDWR);
	return outcome(lock_bytes(STDIN_FILENO, F_SETLK, F_WRLCK, 0, 0));
}

static const char *
open_cloexec(void)
{
	return number(fcntl(make(O_RDWR | O_CLOEXEC), F_GETFD));
}

static const char *
open_fortified(void)
{
	make(O_RDWR);
	return outcome(__open_2(path, O_RDWR));
}

static const char *
chdir_mount(void)
{
	return outcome(chdir(directory));
}

static const char *
close_once(void)
{
	return outcome(close(make(O_RDWR)));
}

static const char *
close_twice(void)
{
	int fd = make(O_RDWR);

	close(fd);
	return outcome(close(fd));
}

static const char *
close_range_ends(void)
{
	unsigned fd = (unsigned)make(O_RDWR);

	return close_range(fd, fd, 0) == 0 ? outcome(fcntl((int)fd, F_GETFD)) : "close_range";
}

static const char *
closefrom_ends(void)
{
	int fd = make(O_RDWR);

	closefrom(fd);
	return outcome(fcntl(fd, F_GETFD));
}

static const char *
close_keeps_number(void)
{
	int fd = make(O_RDWR);

	close(fd);
	return open("/dev/null", O_RDWR) == fd ? outcome(write(fd, "x", 1)) : "another number";
}

static const char *
dup_locks(void)
{
	return outcome(lock_bytes(dup(make(O_RDWR)), F_SETLK, F_WRLCK, 0, 0));
}

static const char *
dup2_onto_other(void)
{
	int fd = make(O_RDWR), other = open("/dev/null", O_RDWR);

	return dup2(fd, other) == other ? outcome(lock_bytes(other, F_SETLK, F_WRLCK, 0, 0)) :
					  "dup2";
}

static const char *
dup2_over_it(void)
{
	int fd = make(O_RDWR);

	return dup2(open("/dev/null", O_RDWR), fd) == fd ? outcome(write(fd, "x", 1)) : "dup2";
}

static const char *
dup2_same(void)
{
	int fd = make(O_RDWR);

	return dup2(fd, fd) == fd ? outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0)) : "dup2";
}

static const char *
dup2_bad_source(void)
{
	int fd = make(O_RDWR);

	return dup2(1000, fd) == -1 ? outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0)) : "dup2";
}

static const char *
dup3_same(void)
{
	int fd = make(O_RDWR);

	return outcome(dup3(fd, fd, O_CLOEXEC));
}

static const char *
dup3_cloexec(void)
{
	return number(fcntl(dup3(make(O_RDWR), 50, O_CLOEXEC), F_GETFD));
}

static const char *
dupfd_lowest(void)
{
	return number(fcntl(make(O_RDWR), F_DUPFD, 70));
}

static const char *
dupfd_cloexec(void)
{
	int copy = fcntl(make(O_RDWR), F_DUPFD_CLOEXEC, 70);

	return fcntl(copy, F_GETFD) == FD_CLOEXEC ?
	    outcome(lock_bytes(copy, F_SETLK, F_WRLCK, 0, 0)) :
	    "not close-on-exec";
}

static const char *
getfl_mode(void)
{
	return number(fcntl(make(O_WRONLY), F_GETFL) & O_ACCMODE);
}

static const char *
setfl_append(void)
{
	int fd = make(O_RDWR);

	return fcntl(fd, F_SETFL, O_APPEND) == 0 && (fcntl(fd, F_GETFL) & O_APPEND) != 0 ?
	    "set" :
	    "not set";
}

const struct row rows_open[] = {
	{ "open-missing", open_missing },
	{ "open-create", open_create },
	{ "open-exclusive-new", open_exclusive_new },
	{ "open-exclusive-again", open_exclusive_again },
	{ "open-truncate-empty", open_truncate_empty },
	{ "open-truncate-sized", open_truncate_sized },
	{ "open-directory", open_directory },
	{ "open-path", open_path },
	{ "open-tmpfile", open_tmpfile },
	{ "open-mount", open_mount },
	{ "open-mount-write", open_mount_write },
	{ "creat-new", creat_new },
	{ "openat-absolute", openat_absolute },
	{ "openat-dirfd", openat_dirfd },
	{ "open-relative", open_relative },
	{ "open-relative-up", open_relative_up },
	{ "open-relative-daemon", open_relative_daemon },
	{ "open-slashes", open_slashes },
	{ "open-slashes-within", open_slashes_within },
	{ "open-dots-within", open_dots_within },
	{ "open-up-later", open_up_later },
	{ "open-relative-up-later", open_relative_up_later },
	{ "open-up-within", open_up_within },
	{ "open-down-and-up", open_down_and_up },
	{ "open-slash-behind", open_slash_behind },
	{ "open-below-it", open_below_it },
	{ "open-long-name", open_long_name },
	{ "open-lowest-number", open_lowest_number },
	{ "open-lowest-number-locks", open_lowest_number_locks },
	{ "open-cloexec", open_cloexec },
	{ "open-fortified", open_fortified },
	{ "chdir-mount", chdir_mount },
	{ "close-once", close_once },
	{ "close-twice", close_twice },
	{ "close-range", close_range_ends },
	{ "closefrom", closefrom_ends },
	{ "close-keeps-number", close_keeps_number },
	{ "dup-locks", dup_locks },
	{ "dup2-onto-other", dup2_onto_other },
	{ "dup2-over-it", dup2_over_it },
	{ "dup2-same", dup2_same },
	{ "dup2-bad-source", dup2_bad_source },
	{ "dup3-same", dup3_same },
	{ "dup3-cloexec", dup3_cloexec },
	{ "dupfd-lowest", dupfd_lowest },
	{ "dupfd-cloexec", dupfd_cloexec },
	{ "getfl-mode", getfl_mode },
	{ "setfl-append", setfl_append },
	{ NULL, NULL },
};
