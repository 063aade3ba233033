#include <dirent.h>
#include <sys/statfs.h>

#include "tests/preload/conform.h"

static const char *
size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? number((long)st.st_size) : outcome(-1);
}

static const char *
fstat_new(void)
{
	struct stat st;

	return fstat(make(O_RDWR), &st) != 0                           ? outcome(-1) :
	    S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 1 ? "regular, empty" :
									 "something else";
}

static const char *
ftruncate_first(void)
{
	int fd = make(O_RDWR);

	return ftruncate(fd, 100) == 0 ? size_of(fd) : outcome(-1);
}

static const char *
ftruncate_same(void)
{
	return outcome(ftruncate(make_page(), PAGE));
}

static const char *
ftruncate_other(void)
{
	return outcome(ftruncate(make_page(), 2 * PAGE));
}

static const char *
ftruncate_zero_empty(void)
{
	return outcome(ftruncate(make(O_RDWR), 0));
}

static const char *
ftruncate_zero_sized(void)
{
	return outcome(ftruncate(make_page(), 0));
}

static const char *
ftruncate_negative(void)
{
	return outcome(ftruncate(make(O_RDWR), -1));
}

static const char *
ftruncate_above_2g(void)
{
	return outcome(ftruncate(make(O_RDWR), 3L << 30));
}

static const char *
ftruncate_read_only(void)
{
	return outcome(ftruncate(make(O_RDONLY), PAGE));
}

static const char *
ftruncate_locked(void)
{
	int fd = make(O_RDWR);

	return lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0) == 0 ? outcome(ftruncate(fd, PAGE)) : "lock";
}

static const char *
see_size(int fd)
{
	(void)fd;
	return size_of(open(path, O_RDWR));
}

static const char *
size_elsewhere(void)
{
	return in_child(see_size, make_page());
}

static const char *
lseek_end(void)
{
	return number(lseek(make_page(), 0, SEEK_END));
}

static const char *
lseek_current(void)
{
	int fd = make_page();

	return lseek(fd, 10, SEEK_SET) == 10 ? number(lseek(fd, 5, SEEK_CUR)) : outcome(-1);
}

static const char *
lseek_hole(void)
{
	return outcome(lseek(make_page(), 0, SEEK_HOLE));
}

static const char *
lseek_negative(void)
{
	return outcome(lseek(make_page(), -1, SEEK_SET));
}

static const char *
stat_size(void)
{
	struct stat st;

	make_page();
	return stat(path, &st) == 0 ? number((long)st.st_size) : outcome(-1);
}

static const char *
lstat_size(void)
{
	struct stat st;

	make_page();
	return lstat(path, &st) == 0 ? number((long)st.st_size) : outcome(-1);
}

static const char *
fstatat_size(void)
{
	struct stat st;

	make_page();
	return fstatat(AT_FDCWD, path, &st, 0) == 0 ? number((long)st.st_size) : outcome(-1);
}

static const char *
statx_size(void)
{
	struct statx st;

	make_page();
	return statx(AT_FDCWD, path, 0, STATX_SIZE, &st) == 0 ? number((long)st.stx_size) :
								outcome(-1);
}

static const char *
statx_descriptor(void)
{
	struct statx st;

	return statx(make_page(), "", AT_EMPTY_PATH, STATX_SIZE, &st) == 0 ?
	    number((long)st.stx_size) :
	    outcome(-1);
}

static const char *
stat_missing(void)
{
	struct stat st;

	return outcome(stat(path, &st));
}

static const char *
stat_mount(void)
{
	struct stat st;

	return stat(directory, &st) == 0 && S_ISDIR(st.st_mode) ? "directory" : outcome(-1);
}

static const char *
stat_same_file(void)
{
	struct stat a, b;

	return fstat(make(O_RDWR), &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
		a.st_dev == b.st_dev ?
	    "same" :
	    "another";
}

static const char *
access_write(void)
{
	make(O_RDWR);
	return outcome(access(path, R_OK | W_OK));
}

static const char *
access_execute(void)
{
	make(O_RDWR);
	return outcome(access(path, X_OK));
}

static const char *
access_missing(void)
{
	return outcome(access(path, F_OK));
}

static const char *
unlink_open(void)
{
	make(O_RDWR);
	return outcome(unlink(path));
}

static const char *
unlink_missing(void)
{
	return outcome(unlink(path));
}

static const char *
unlink_stat(void)
{
	struct stat st;

	make(O_RDWR);
	return unlink(path) == 0 ? outcome(stat(path, &st)) : "unlink";
}

static const char *
unlink_locks(void)
{
	int fd = make(O_RDWR);

	return unlink(path) == 0 ? outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0)) : "unlink";
}

static const char *
unlink_mount(void)
{
	make(O_RDWR);
	return outcome(unlink(directory));
}

static const char *
unlinkat_as_directory(void)
{
	make(O_RDWR);
	return outcome(unlinkat(AT_FDCWD, path, AT_REMOVEDIR));
}

static const char *
remove_mount(void)
{
	make(O_RDWR);
	return outcome(remove(directory));
}

static const char *
rmdir_it(void)
{
	make(O_RDWR);
	return outcome(rmdir(path));
}

static const char *
rmdir_mount(void)
{
	make(O_RDWR);
	return outcome(rmdir(directory));
}

static const char *
last_close(void)
{
	close(make(O_RDWR));
	return outcome(open(path, O_RDWR));
}

static const char *
chmod_mode(void)
{
	struct stat st;

	make(O_RDWR);
	return chmod(path, 0604) == 0 && stat(path, &st) == 0 ? number(st.st_mode & 07777) :
								outcome(-1);
}

static const char *
fchmod_result(void)
{
	return outcome(fchmod(make(O_RDWR), 0600));
}

static const char *
chown_result(void)
{
	make(O_RDWR);
	return outcome(chown(path, geteuid(), getegid()));
}

static const char *
fchown_result(void)
{
	return outcome(fchown(make(O_RDWR), geteuid(), getegid()));
}

static const char *
readlink_it(void)
{
	char text[PATH_SIZE];

	make(O_RDWR);
	return outcome(readlink(path, text, sizeof text));
}

static const char *
realpath_it(void)
{
	make(O_RDWR);
	return outcome(realpath(path, NULL) != NULL ? 0 : -1);
}

static const char *
utimensat_it(void)
{
	make(O_RDWR);
	return outcome(utimensat(AT_FDCWD, path, NULL, 0));
}

static const char *
statfs_it(void)
{
	struct statfs s;

	make(O_RDWR);
	return outcome(statfs(path, &s));
}

static const char *
rename_it(void)
{
	make(O_RDWR);
	return outcome(rename(path, path_with(".new")));
}

static const char *
link_it(void)
{
	make(O_RDWR);
	return outcome(link(path, path_with(".new")));
}

static const char *
mkdir_below(void)
{
	return outcome(mkdir(path, 0770));
}

static const char *
truncate_path(void)
{
	make(O_RDWR);
	return outcome(truncate(path, PAGE));
}

static const char *
opendir_mount(void)
{
	return outcome(opendir(directory) != NULL ? 0 : -1);
}

static const char *
mkstemp_below(void)
{
	return outcome(mkstemp(path_with("XXXXXX")));
}

const struct row rows_size[] = {
	{ "fstat-new", fstat_new },
	{ "ftruncate-first", ftruncate_first },
	{ "ftruncate-same", ftruncate_same },
	{ "ftruncate-other", ftruncate_other },
	{ "ftruncate-zero-empty", ftruncate_zero_empty },
	{ "ftruncate-zero-sized", ftruncate_zero_sized },
	{ "ftruncate-negative", ftruncate_negative },
	{ "ftruncate-above-2g", ftruncate_above_2g },
	{ "ftruncate-read-only", ftruncate_read_only },
	{ "ftruncate-locked", ftruncate_locked },
	{ "size-elsewhere", size_elsewhere },
	{ "lseek-end", lseek_end },
	{ "lseek-current", lseek_current },
	{ "lseek-hole", lseek_hole },
	{ "lseek-negative", lseek_negative },
	{ "stat-size", stat_size },
	{ "lstat-size", lstat_size },
	{ "fstatat-size", fstatat_size },
	{ "statx-size", statx_size },
	{ "statx-descriptor", statx_descriptor },
	{ "stat-missing", stat_missing },
	{ "stat-mount", stat_mount },
	{ "stat-same-file", stat_same_file },
	{ "access-write", access_write },
	{ "access-execute", access_execute },
	{ "access-missing", access_missing },
	{ "unlink-open", unlink_open },
	{ "unlink-missing", unlink_missing },
	{ "unlink-stat", unlink_stat },
	{ "unlink-locks", unlink_locks },
	{ "unlink-mount", unlink_mount },
	{ "unlinkat-as-directory", unlinkat_as_directory },
	{ "remove-mount", remove_mount },
	{ "rmdir", rmdir_it },
	{ "rmdir-mount", rmdir_mount },
	{ "last-close", last_close },
	{ "chmod-mode", chmod_mode },
	{ "fchmod", fchmod_result },
	{ "chown", chown_result },
	{ "fchown", fchown_result },
	{ "readlink", readlink_it },
	{ "realpath", realpath_it },
	{ "utimensat", utimensat_it },
	{ "statfs", statfs_it },
	{ "rename", rename_it },
	{ "link", link_it },
	{ "mkdir-below", mkdir_below },
	{ "truncate-path", truncate_path },
	{ "opendir-mount", opendir_mount },
	{ "mkstemp-below", mkstemp_below },
	{ NULL, NULL },
};
