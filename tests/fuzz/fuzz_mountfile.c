/*
 * fuzz_mountfile: the premanifest lexer, and the parsers of mount files behind sm_load() and of
 * packages behind makemanifest, and the preloaded library's reader of mount points (libFuzzer).
 *
 * Whatever the bytes are, the result is directives of whole words, and mounts with a point in
 * canonical form, or an error with file and line.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/premanifest.h"
#include "common/client/mountfile.h"
#include "common/preload/mountwords.h"
#include "deploy/package.h"

#define NAME "fuzz.conf"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An error begins with file and line. */
static void
check_reason(const char *reason)
{
	assert(strncmp(reason, NAME ":", strlen(NAME) + 1) == 0);
	assert(strlen(reason) > strlen(NAME) + 2);
}

static int
check_directive(void *arg, const struct premanifest_line *line, struct premanifest_fault *fault)
{
	unsigned *last = arg;
	size_t i, used = 0;

	assert(strcmp(line->file, NAME) == 0);
	assert(line->number > *last);
	*last = line->number;
	assert(line->count >= 1 && line->count <= PREMANIFEST_WORDS_MOST);
	for (i = 0; i < line->count; i++) {
		size_t size = strlen(line->words[i]);

		assert(strcspn(line->words[i], "\n\t\r") == size);
		used += size + 1;
		assert(line->columns[i] > (i == 0 ? 0 : line->columns[i - 1]));
	}
	assert(used <= PREMANIFEST_LINE_SIZE);
	if (strcmp(line->words[0], "STOP") != 0)
		return 0;
	fault->word = line->count - 1;
	memcpy(fault->reason, "stopped", 8);
	return -77;
}

static void
check_premanifest(const uint8_t *data, size_t size)
{
	char reason[PREMANIFEST_REASON_SIZE];
	unsigned last = 0;
	int r;

	memset(reason, 'x', sizeof reason);
	r = premanifest_parse(NAME, data, size, check_directive, &last, reason);
	assert(r <= 0);
	if (r != 0) {
		assert(memchr(reason, '\0', sizeof reason) != NULL);
		check_reason(reason);
	}
}

/* A line of the preloaded library; *next: the mount that it must be, in a file without an error. */
static void
check_words(void *arg, const struct mountwords_line *line)
{
	const struct mount **next = arg;
	char point[MOUNT_PATH_SIZE];

	assert(line->number > 0 && (line->point == NULL || line->point[0] == '/'));
	assert(line->point != NULL || line->fault != NULL);
	if (next == NULL)
		return;
	assert(line->fault == NULL && *next != NULL);
	assert(mount_normalize(point, line->point) == 0);
	assert(strcmp(point, (*next)->point) == 0);
	*next = TAILQ_NEXT(*next, link);
}

static void
check_mounts(const uint8_t *data, size_t size)
{
	struct mountfile f = { .tls = NULL };
	char again[MOUNT_PATH_SIZE];
	const struct mount *m, *next;
	int r;

	TAILQ_INIT(&f.mounts);
	error_begin();
	r = mountfile_parse(&f, NAME, data, size);
	assert(r <= 0);
	if (r != 0)
		check_reason(error_text());
	TAILQ_FOREACH(m, &f.mounts, link) {
		assert(mount_normalize(again, m->point[0] == '\0' ? "/" : m->point) == 0);
		assert(strcmp(again, m->point) == 0);
		assert(mount_at(&f.mounts, m->point) == m);
	}
	next = TAILQ_FIRST(&f.mounts);
	mountwords_each_mount((const char *)data, size, check_words, r == 0 ? &next : NULL);
	assert(r != 0 || next == NULL);
	mountfile_fini(&f);
}

/* The file as a packager reads it, which need not be one for the library. */
static void
check_package(const uint8_t *data, size_t size)
{
	const struct mountline *m;
	struct package p;
	int r;

	error_begin();
	r = package_parse(&p, NAME, data, size);
	assert(r <= 0);
	if (r != 0)
		check_reason(error_text());
	TAILQ_FOREACH(m, &p.mounts, link)
		assert(m->uri.line > 0 && m->uri.column < m->path.column);
	package_fini(&p);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return setenv("HOME", "/home/fuzz", 1) | setenv("E", "", 1) |
	    setenv("B", "a b#c\td$HOME", 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_premanifest(data, size);
	check_mounts(data, size);
	check_package(data, size);
	return 0;
}
