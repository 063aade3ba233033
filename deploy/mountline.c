#include "deploy/mountline.h"

#include <assert.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/client/mount.h"
#include "common/client/mountspec.h"
#include "common/wire/addr.h"

static const char scheme[] = "file:";

/* What a type wants of its line. */
static const struct type {
	const char *name;
	size_t words_most; /* with MOUNT itself; more are an error */
	bool is_librarys;
} types[] = {
	[MOUNTLINE_CHROOT] = { "chroot", 5, false },
	[MOUNTLINE_ENCRYPTED] = { "encrypted", 4, false },
	/* The original ignores what follows. */
	[MOUNTLINE_NEXTFS] = { "nextfs", PREMANIFEST_WORDS_MOST, false },
	[MOUNTLINE_SMDISH] = { "smdish", 5, true },
	[MOUNTLINE_SMUF] = { "smuf", 5, true },
	[MOUNTLINE_SMC] = { "smc", 5, true },
};
enum { TYPES = sizeof types / sizeof types[0] };

/* Returns the type, or a negative errno. */
static int
find_type(const struct premanifest_line *line, struct premanifest_fault *fault)
{
	int i;

	if (line->count < 4)
		return premanifest_refuse(fault, 0, -EINVAL,
		    "MOUNT needs a URI, a path and a type");
	for (i = 0; i < TYPES && strcmp(types[i].name, line->words[MOUNTSPEC_TYPE]) != 0; i++)
		continue;
	if (i == TYPES)
		return premanifest_refuse(fault, MOUNTSPEC_TYPE, -EINVAL,
		    "the type of a MOUNT is chroot, encrypted, nextfs, smdish, smuf or smc");
	if (line->count > types[i].words_most)
		return premanifest_refuse(fault, types[i].words_most, -EINVAL,
		    types[i].is_librarys ? "MOUNT has too many words: commas separate options" :
					   "MOUNT has too many words");
	return i;
}

/* Sets a mount point, in normal form. */
static int
set_point(char **out, const char *text, struct premanifest_fault *fault)
{
	char point[MOUNT_PATH_SIZE];
	int error = mount_normalize(point, text);

	if (error == 0) {
		*out = strdup(point);
		error = *out == NULL ? -ENOMEM : 0;
	}
	return error == 0 ? 0 : premanifest_refuse_told(fault, MOUNTSPEC_PATH, error);
}

static int
check_uri(const struct mountline *m, struct premanifest_fault *fault)
{
	struct addr addr;

	if (m->type == MOUNTLINE_NEXTFS)
		return addr_parse(&addr, m->uri.text, 0) == 0 && *m->uri.text != '/' ?
		    0 :
		    premanifest_refuse(fault, MOUNTSPEC_URI, -EINVAL,
			"nextfs needs the address of a server, as pipe:NUMBER or tcp:HOST:PORT");
	if (strncmp(m->uri.text, scheme, strlen(scheme)) != 0 ||
	    m->uri.text[strlen(scheme)] == '\0')
		return premanifest_refuse(fault, MOUNTSPEC_URI, -EINVAL,
		    "the URI must be file: and a path");
	return 0;
}

/* A line of a type that the library skips. */
static int
parse_packagers(struct mountline *m, struct premanifest_fault *fault)
{
	int error = check_uri(m, fault);

	if (error == 0)
		error = set_point(&m->point, m->path.text, fault);
	if (error != 0 || m->type != MOUNTLINE_CHROOT)
		return error;
	if (m->options.text == NULL)
		return premanifest_refuse(fault, MOUNTSPEC_TYPE, -EINVAL,
		    "chroot needs ro or rw after it");
	m->is_writable = strcmp(m->options.text, "rw") == 0;
	if (!m->is_writable && strcmp(m->options.text, "ro") != 0)
		return premanifest_refuse(fault, MOUNTSPEC_OPTIONS, -EINVAL, "chroot is ro or rw");
	return 0;
}

/* A line of a type that the library has. */
static int
parse_librarys(struct mountline *m, struct premanifest_fault *fault)
{
	const char *comma = strchr(m->path.text, ',');
	enum mountspec_word wrong;
	int error;

	error = mountspec_parse(&m->mount, NULL, m->uri.text, m->path.text, types[m->type].name,
	    m->options.text, &wrong);
	if (error != 0)
		return premanifest_refuse_told(fault, wrong, error);
	m->point = strdup(m->mount->point);
	if (m->point == NULL)
		return premanifest_refuse_told(fault, 0, -ENOMEM);
	return comma == NULL ? 0 : set_point(&m->second, comma + 1, fault);
}

static int
copy_words(struct mountline *m, const char *file, const struct premanifest_line *line,
    struct premanifest_fault *fault)
{
	int error = word_copy(&m->uri, file, line, MOUNTSPEC_URI);

	if (error == 0)
		error = word_copy(&m->path, file, line, MOUNTSPEC_PATH);
	if (error == 0)
		error = word_copy(&m->type_word, file, line, MOUNTSPEC_TYPE);
	if (error == 0 && line->count > MOUNTSPEC_OPTIONS)
		error = word_copy(&m->options, file, line, MOUNTSPEC_OPTIONS);
	return error == 0 ? 0 : premanifest_refuse_told(fault, 0, error);
}

int
mountline_create(struct mountline **out, const char *file, const struct premanifest_line *line,
    struct premanifest_fault *fault)
{
	int type = find_type(line, fault), error;
	struct mountline *m;

	if (type < 0)
		return type;
	m = calloc(1, sizeof *m);
	if (m == NULL)
		return premanifest_refuse_told(fault, 0, -ENOMEM);
	m->type = (enum mountline_type)type;
	error = copy_words(m, file, line, fault);
	if (error == 0)
		error = types[type].is_librarys ? parse_librarys(m, fault) :
						  parse_packagers(m, fault);
	if (error == 0)
		*out = m;
	else
		mountline_destroy(m);
	return error;
}

void
mountline_destroy(struct mountline *m)
{
	if (m == NULL)
		return;
	mount_destroy(m->mount);
	word_fini(&m->uri);
	word_fini(&m->path);
	word_fini(&m->type_word);
	word_fini(&m->options);
	free(m->point);
	free(m->second);
	free(m);
}

const char *
mountline_host(const struct mountline *m)
{
	assert(m->type == MOUNTLINE_CHROOT || m->type == MOUNTLINE_ENCRYPTED);
	return m->uri.text + strlen(scheme);
}

const struct mountline *
mountline_cover(const struct mountline_list *list, const char *path, const char **rest)
{
	const struct mountline *m, *best = NULL;
	size_t n;

	TAILQ_FOREACH(m, list, link) {
		if (m->type != MOUNTLINE_CHROOT && m->type != MOUNTLINE_ENCRYPTED)
			continue;
		n = strlen(m->point);
		if (strncmp(m->point, path, n) != 0 || (path[n] != '/' && path[n] != '\0'))
			continue;
		if (best == NULL || n > strlen(best->point))
			best = m;
	}
	if (best != NULL)
		*rest = path + strlen(best->point);
	return best;
}

static bool
has_point(const struct mountline *m, const char *point)
{
	return strcmp(m->point, point) == 0 || (m->second != NULL && strcmp(m->second, point) == 0);
}

bool
mountline_collides(const struct mountline *a, const struct mountline *b)
{
	return has_point(a, b->point) || (b->second != NULL && has_point(a, b->second));
}
