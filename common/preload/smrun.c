/*
 * smrun: runs a program with memory files: smrun(1).
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/commandline.h"
#include "common/base/error.h"
#include "common/base/standard.h"
#include "common/client/mount.h"
#include "common/client/mountfile.h"
#include "common/preload/mountpoints.h"
#include "common/preload/progcheck.h"

#define NAME "smrun"

enum { EXIT_USAGE = 2, EXIT_CANNOT = 126, EXIT_NOT_FOUND = 127 };

enum { OPTION_CHECK = 256, OPTION_VERSION };

static const struct option long_options[] = {
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
    "usage: smrun MOUNTFILE PROGRAM [ARGUMENT...]\n"
    "       smrun --check PROGRAM\n";

static const char help[] =
    "\n"
    "Runs PROGRAM with the memory files of MOUNTFILE, by a preloaded library; smrun(1) and\n"
    "smpreload(7) tell what is served.\n"
    "\n"
    "--check     say whether the library reaches PROGRAM, and run nothing\n"
    "-h, --help  print this\n"
    "--version   print the version\n";

/* reason: NULL when it was printed. */
static void __attribute__((noreturn)) fail_usage(const char *reason)
{
	if (reason != NULL)
		warnx("%s", reason);
	fputs(usage, stderr);
	exit(EXIT_USAGE);
}

/* A call that is not served would reach the file that is there. */
static bool
is_free(const struct mount *m)
{
	const char *point = *m->point != '\0' ? m->point : "/";
	struct stat st;

	if (lstat(point, &st) != 0)
		return true;
	warnx("%s: the mount point must not exist in the file system", point);
	return false;
}

/* Checks what the preloaded library needs of mounts that the client library takes. */
static void
check_points(const char *path, const struct mount_list *mounts)
{
	size_t count = 0, size = 0;
	const struct mount *m;
	bool are_free = true;

	TAILQ_FOREACH(m, mounts, link) {
		count++;
		size += strlen(m->point) + 1;
		are_free = is_free(m) && are_free;
	}
	if (!are_free)
		exit(EXIT_CANNOT);
	if (count == 0)
		errx(EXIT_CANNOT, "%s: no mount: a line MOUNT URI PATH TYPE is expected", path);
	if (count > MOUNTPOINTS_MOST || size > MOUNTPOINTS_SIZE)
		errx(EXIT_CANNOT, "%s: too many mounts: at most %d, of %d bytes, are expected",
		    path, MOUNTPOINTS_MOST, MOUNTPOINTS_SIZE);
}

/*
 * Ends unless the client library takes the mount file: it reads the file and the keys that it
 * names, and connects to no server. The program would reach plain files below a mount point that is
 * misspelt.
 */
static void
check_mounts(const char *path)
{
	struct mountfile file = { .mounts = TAILQ_HEAD_INITIALIZER(file.mounts) };
	int error;

	error_begin();
	error = mountfile_load(&file, path);
	if (error != 0) {
		error_finish(error);
		errx(EXIT_CANNOT, "%s", error_text());
	}
	check_points(path, &file.mounts);
	mountfile_fini(&file);
}

/* Whether a file can be executed. Sets *is_forbidden if there is one that may not be. */
static bool
is_program(const char *path, bool *is_forbidden)
{
	struct stat st;
	int result = stat(path, &st);

	if (result == 0 && !S_ISREG(st.st_mode))
		return false;
	if (result == 0 && access(path, X_OK) == 0)
		return true;
	*is_forbidden = *is_forbidden || errno == EACCES;
	return false;
}

/* Finds a program in the directories of path, of which an empty one is the working directory. */
static void
search(const char *name, const char *path, char out[PATH_MAX])
{
	const char *next = path, *end;
	bool is_forbidden = false;
	int size;

	do {
		end = strchrnul(next, ':');
		size = end > next ? (int)(end - next) : 1;
		size = snprintf(out, PATH_MAX, "%.*s/%s", size, end > next ? next : ".", name);
		if (size < PATH_MAX && is_program(out, &is_forbidden))
			return;
		next = end + 1;
	} while (*end != '\0');
	if (is_forbidden)
		errx(EXIT_CANNOT, "%s: %s", name, strerror(EACCES));
	errx(EXIT_NOT_FOUND, "%s: no such program", name);
}

/* Finds a program as execvp(3) does, but that a directory is none. */
static void
find_program(const char *name, char out[PATH_MAX])
{
	const char *path = getenv("PATH");
	char standard[PATH_MAX] = "";

	if (*name == '\0')
		errx(EXIT_NOT_FOUND, "'': no such program");
	if (strchr(name, '/') == NULL) {
		(void)confstr(_CS_PATH, standard, sizeof standard);
		search(name, path != NULL ? path : standard, out);
	} else if (snprintf(out, PATH_MAX, "%s", name) >= PATH_MAX) {
		errx(EXIT_CANNOT, "%s: %s", name, strerror(ENAMETOOLONG));
	}
}

/* The library is beside this program, or in lib/memserver/ beside its directory. */
static void
find_library(char out[PATH_MAX])
{
	static const char *const places[] = { "%.*s/libsmpreload.so",
		"%.*s/../lib/memserver/libsmpreload.so" };
	char self[PATH_MAX], path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	const char *slash;
	size_t i;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	for (i = 0; slash != NULL && i < sizeof places / sizeof places[0]; i++) {
		(void)snprintf(path, sizeof path, places[i], (int)(slash - self), self);
		if (realpath(path, out) != NULL)
			return;
	}
	errx(EXIT_CANNOT, "there is no libsmpreload.so beside this program or in ../lib/memserver");
}

static void
set_environment(const char *mounts)
{
	char library[PATH_MAX], conf[PATH_MAX], *list = library;
	const char *others = getenv("LD_PRELOAD");

	find_library(library);
	if (realpath(mounts, conf) == NULL)
		err(EXIT_CANNOT, "%s", mounts);
	check_mounts(conf);
	if (others != NULL && others[0] != '\0' && asprintf(&list, "%s:%s", library, others) < 0)
		err(EXIT_CANNOT, "environment");
	if (setenv("SM_CONF", conf, 1) != 0 || setenv("LD_PRELOAD", list, 1) != 0)
		err(EXIT_CANNOT, "environment");
	if (list != library)
		free(list);
}

/* Prints whether a preloaded library reaches the program. Returns the exit status. */
static int
check_program(const char *path)
{
	int result = progcheck_run(path, stdout);

	if (result < 0)
		errx(result == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT, "%s: %s", path,
		    strerror(-result));
	return standard_finish(NAME, result > 0 ? EXIT_CANNOT : EXIT_SUCCESS);
}

/* The same, without a word when all is well. */
static void
require_program(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int result;

	if (out == NULL)
		err(EXIT_CANNOT, "%s", path);
	result = progcheck_run(path, out);
	(void)fclose(out);
	if (result > 0)
		fprintf(stderr, "smrun: %s", text);
	free(text);
	if (result > 0)
		exit(EXIT_CANNOT);
}

/* Reads the options, and acts on --help and --version. Returns true for --check. */
static bool
parse_options(int argc, char **argv)
{
	bool is_checking = false;
	int option;

	while ((option = commandline_next(argc, argv, "+h", long_options)) != -1) {
		switch (option) {
		case 'h':
			printf("%s%s", usage, help);
			exit(standard_finish(NAME, EXIT_SUCCESS));
		case OPTION_VERSION:
			printf(NAME " %s\n", MEMSERVER_VERSION);
			exit(standard_finish(NAME, EXIT_SUCCESS));
		case OPTION_CHECK:
			is_checking = true;
			break;
		default:
			fail_usage(NULL);
		}
	}
	return is_checking;
}

int
main(int argc, char **argv)
{
	char program[PATH_MAX];
	bool is_checking;

	standard_hold();
	is_checking = parse_options(argc, argv);
	argc -= optind;
	argv += optind;
	if (is_checking && argc != 1)
		fail_usage("--check takes one program");
	if (!is_checking && argc < 2)
		fail_usage("a mount file and a program are expected");
	find_program(argv[!is_checking], program);
	if (is_checking)
		return check_program(program);
	require_program(program);
	set_environment(argv[0]);
	(void)execv(program, argv + 1);
	err(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT, "%s", program);
}
