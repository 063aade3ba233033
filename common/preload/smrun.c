/*
 * smrun: runs a program with memory files: smrun(1).
 */
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/preload/mountwords.h"
#include "common/preload/progcheck.h"

enum { FILE_SIZE_MOST = 1024 * 1024, EXIT_USAGE = 2, EXIT_CANNOT = 126, EXIT_NOT_FOUND = 127 };

static bool has_failed;

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
	    "usage: smrun mountfile program [argument ...]\n       smrun --check program\n");
	exit(EXIT_USAGE);
}

/* A call that is not served would reach the file that is there. */
static void
check_point(const char *point)
{
	struct stat st;

	if (lstat(point, &st) != 0)
		return;
	warnx("%s: the mount point must not exist in the file system", point);
	has_failed = true;
}

static void
check_mounts(const char *path)
{
	char *bytes = malloc(FILE_SIZE_MOST);
	FILE *f = fopen(path, "r");
	size_t size;

	if (bytes == NULL || f == NULL)
		err(EXIT_CANNOT, "%s", path);
	size = fread(bytes, 1, FILE_SIZE_MOST, f);
	mountwords_each_point(bytes, size, check_point);
	(void)fclose(f);
	free(bytes);
	if (has_failed)
		exit(EXIT_CANNOT);
}

/* Finds a program as execvp(3) does. */
static void
find_program(const char *name, char out[PATH_MAX])
{
	const char *next = getenv("PATH"), *end;

	if (strchr(name, '/') != NULL || next == NULL) {
		(void)snprintf(out, PATH_MAX, "%s", name);
		return;
	}
	for (; *next != '\0'; next = *end != '\0' ? end + 1 : end) {
		end = strchrnul(next, ':');
		(void)snprintf(out, PATH_MAX, "%.*s/%s", (int)(end - next), next, name);
		if (access(out, X_OK) == 0)
			return;
	}
	errx(EXIT_NOT_FOUND, "%s: no such program", name);
}

/* The library is beside this program, or in lib/ beside its directory. */
static void
find_library(char out[PATH_MAX])
{
	static const char *const places[] = { "%.*s/libsmpreload.so",
		"%.*s/../lib/libsmpreload.so" };
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
	errx(EXIT_CANNOT, "there is no libsmpreload.so beside this program or in ../lib");
}

static void
set_environment(const char *mounts)
{
	char library[PATH_MAX], conf[PATH_MAX], list[2 * PATH_MAX];
	const char *others = getenv("LD_PRELOAD");

	find_library(library);
	if (realpath(mounts, conf) == NULL)
		err(EXIT_CANNOT, "%s", mounts);
	check_mounts(conf);
	if (others != NULL && others[0] != '\0')
		(void)snprintf(list, sizeof list, "%s:%.*s", library, PATH_MAX - 2, others);
	else
		(void)snprintf(list, sizeof list, "%s", library);
	if (setenv("SM_CONF", conf, 1) != 0 || setenv("LD_PRELOAD", list, 1) != 0)
		err(EXIT_CANNOT, "environment");
}

/* Ends when a preloaded library does not reach the program. */
static void
check_program(const char *path, FILE *out)
{
	int result = progcheck_run(path, out);

	if (result < 0)
		errx(result == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT, "%s: %s", path,
		    strerror(-result));
	if (result > 0)
		exit(EXIT_CANNOT);
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

int
main(int argc, char **argv)
{
	char program[PATH_MAX];

	if (argc < 3)
		usage();
	find_program(argv[2], program);
	if (strcmp(argv[1], "--check") == 0) {
		if (argc != 3)
			usage();
		check_program(program, stdout);
		return 0;
	}
	if (argv[1][0] == '-')
		usage();
	require_program(program);
	set_environment(argv[1]);
	(void)execv(program, argv + 2);
	err(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT, "%s", program);
}
