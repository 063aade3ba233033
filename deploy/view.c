#include "deploy/view.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/client/mount.h"
#include "deploy/hostfiles.h"
#include "deploy/libraries.h"
#include "deploy/package.h"
#include "deploy/toml.h"

/* Where Gramine's C library is mounted. */
#define RUNTIME_POINT "/lib"

int
view_init(struct view *v, const struct package *p, const char *runtime, const char *key_name)
{
	struct lines *texts = &v->paths.texts;
	char *quoted;
	int error;

	*v = (struct view){ .p = p };
	error = paths_init(&v->paths, &p->mounts);
	if (error != 0)
		return error;
	grants_init(&v->grants, &v->paths);
	v->key = lines_add(texts, ", key_name = %s", toml_quote(texts, key_name));
	v->runtime = "\"file:{{ gramine.runtimedir() }}";
	if (runtime == NULL)
		return 0;
	quoted = grants_make_uri(&v->grants, "file", runtime);
	if (*quoted != '\0')
		quoted[strlen(quoted) - 1] = '\0';
	v->runtime = quoted;
	return 0;
}

void
view_fini(struct view *v)
{
	grants_fini(&v->grants);
	lines_fini(&v->folders);
	paths_fini(&v->paths);
}

int
view_error(const struct view *v)
{
	return lines_error(&v->folders) == 0 ? grants_error(&v->grants) : -ENOMEM;
}

/* Where the directory of a smuf or smc mount is. *cover: see paths_look_up(). */
static int
find_directory(struct view *v, const struct mountline *line, const char **inner, const char **host,
    const struct mountline **cover)
{
	int error = paths_look_up(&v->paths, &line->uri, line->mount->directory, inner, host,
	    cover);

	if (error != 0 || *cover == NULL)
		return error;
	if (line->type == MOUNTLINE_SMUF && !(*cover)->is_writable)
		return word_fail(&line->uri, -EINVAL,
		    "the program cannot write in %s, which line %u mounts", *inner,
		    (*cover)->uri.line);
	if (line->type == MOUNTLINE_SMC && strcmp((*cover)->point, *inner) == 0)
		return word_fail(&line->uri, -EINVAL,
		    "line %u mounts %s, but each process would have files of its own there",
		    (*cover)->uri.line, *inner);
	return 0;
}

/* Allows what the line lets the program write. */
static int
learn_writable(struct view *v, const struct mountline *line)
{
	const struct mountline *cover;
	const char *inner, *host;
	int error;

	switch (line->type) {
	case MOUNTLINE_CHROOT:
		if (!line->is_writable)
			return 0;
		error = paths_to_host(&v->paths, &line->uri, mountline_host(line), &host);
		return error == 0 ? grants_allow(&v->grants, &line->uri, "file", host) : error;
	case MOUNTLINE_SMUF:
	case MOUNTLINE_SMC:
		error = find_directory(v, line, &inner, &host, &cover);
		if (error != 0)
			return error;
		return grants_allow(&v->grants, &line->uri,
		    line->type == MOUNTLINE_SMC ? "dev" : "file", host);
	default:
		return 0;
	}
}

/*
 * A file that the host must not read, at path as the program sees it: notes it, or mounts it unless
 * an encrypted directory shows it.
 */
static int
add_secret(struct view *v, const struct word *from, const char *path, bool is_mounting)
{
	const struct mountline *cover;
	const char *inner, *host;
	int error = paths_look_up(&v->paths, from, path, &inner, &host, &cover);

	if (error != 0 || (cover != NULL && cover->type == MOUNTLINE_ENCRYPTED))
		return error;
	if (!is_mounting) {
		grants_hide(&v->grants, host);
		return 0;
	}
	v->has_secrets = true;
	return grants_mount(&v->grants, from, "encrypted", inner,
	    grants_make_uri(&v->grants, "file", host), v->key);
}

static int
add_secrets(struct view *v, bool is_mounting)
{
	const struct package *p = v->p;
	const struct mountline *line;
	int error = 0;

	if (p->key_file.text != NULL)
		error = add_secret(v, &p->key_file, p->key_file.text, is_mounting);
	TAILQ_FOREACH(line, &p->mounts, link)
		if (error == 0 && line->mount != NULL && line->mount->key_file != NULL)
			error = add_secret(v, &line->options, line->mount->key_file, is_mounting);
	return error;
}

/*
 * The file of CRLFILE, which the host may change, since the CA signs what is in it: allows it, or
 * mounts it unless a directory shows it.
 */
static int
add_lists(struct view *v, bool is_mounting)
{
	const struct word *from = &v->p->crl_file;
	const struct mountline *cover;
	const char *inner, *host;
	int error;

	if (from->text == NULL)
		return 0;
	error = paths_look_up(&v->paths, from, from->text, &inner, &host, &cover);
	if (error != 0 || (cover != NULL && (is_mounting || cover->type == MOUNTLINE_ENCRYPTED)))
		return error;
	if (is_mounting)
		return grants_mount(&v->grants, from, NULL, inner,
		    grants_make_uri(&v->grants, "file", host), "");
	grants_hide(&v->grants, host);
	return grants_allow(&v->grants, from, "file", host);
}

/* Notes what the package keeps secret and lets the program write, for what is trusted later. */
static int
learn(struct view *v)
{
	const struct mountline *line;
	int error = add_secrets(v, false);

	if (error == 0)
		error = add_lists(v, false);
	TAILQ_FOREACH(line, &v->p->mounts, link)
		if (error == 0)
			error = learn_writable(v, line);
	return error;
}

static int
add_readable(struct view *v, const struct mountline *line)
{
	struct lines files = { .count = 0 };
	const char *host;
	size_t i;
	int error = hostfiles_list(&files, mountline_host(line));

	if (error != 0)
		word_blame(&line->uri, error);
	for (i = 0; error == 0 && i < files.count; i++) {
		error = paths_to_host(&v->paths, &line->uri, files.at[i], &host);
		if (error == 0)
			error = grants_trust(&v->grants, &line->uri, host);
	}
	lines_fini(&files);
	return error;
}

/* A MOUNT of a path of the host. */
static int
add_host_mount(struct view *v, const struct mountline *line)
{
	bool is_encrypted = line->type == MOUNTLINE_ENCRYPTED;
	const char *host, *key = "";
	int error = paths_to_host(&v->paths, &line->uri, mountline_host(line), &host);

	if (error != 0)
		return error;
	if (is_encrypted) {
		v->has_secrets = true;
		key = v->key;
	}
	error = grants_mount(&v->grants, &line->path, is_encrypted ? "encrypted" : NULL,
	    line->point, grants_make_uri(&v->grants, "file", host), key);
	if (error != 0 || is_encrypted || line->is_writable)
		return error;
	return add_readable(v, line);
}

/* The directory of a smuf or smc mount. */
static int
add_directory(struct view *v, const struct mountline *line)
{
	bool is_smc = line->type == MOUNTLINE_SMC;
	const struct mountline *cover;
	const char *inner, *host;
	int error = find_directory(v, line, &inner, &host, &cover);

	if (error != 0 || (!is_smc && cover != NULL))
		return error;
	return grants_mount(&v->grants, &line->uri, is_smc ? "untrusted_shm" : NULL, inner,
	    grants_make_uri(&v->grants, is_smc ? "dev" : "file", host), "");
}

static int
add_line(struct view *v, const struct mountline *line)
{
	switch (line->type) {
	case MOUNTLINE_CHROOT:
	case MOUNTLINE_ENCRYPTED:
		return add_host_mount(v, line);
	case MOUNTLINE_NEXTFS:
		return word_fail(&line->type_word, -EINVAL, "Gramine has no nextfs");
	case MOUNTLINE_SMC:
		if (line->mount->locks != MOUNT_LOCKS_NONE)
			return word_fail(line->options.text == NULL ? &line->type_word :
								      &line->options,
			    -EINVAL,
			    "Gramine has no locks that two processes see: smc needs locks=none");
		return add_directory(v, line);
	default:
		if (strncmp(line->uri.text, "tcp:", strlen("tcp:")) != 0)
			return word_fail(&line->uri, -EINVAL,
			    "Gramine's unix sockets do not reach the host: the server must be at tcp:");
		return line->type == MOUNTLINE_SMUF ? add_directory(v, line) : 0;
	}
}

int
view_add_mounts(struct view *v)
{
	const struct mountline *line;
	int error = learn(v);

	TAILQ_FOREACH(line, &v->p->mounts, link)
		if (error == 0)
			error = add_line(v, line);
	if (error == 0)
		error = add_lists(v, true);
	return error == 0 ? add_secrets(v, true) : error;
}

int
view_add_file(struct view *v, const struct word *from, const char *path)
{
	const struct mountline *cover;
	const char *inner, *host;
	int error = paths_look_up(&v->paths, from, path, &inner, &host, &cover);

	if (error != 0 || (cover != NULL && cover->type == MOUNTLINE_ENCRYPTED))
		return error;
	error = grants_trust(&v->grants, from, host);
	if (error != 0 || cover != NULL)
		return error;
	return grants_mount(&v->grants, from, NULL, inner,
	    grants_make_uri(&v->grants, "file", host), "");
}

/* Adds a file of the host at its own path, if no MOUNT shows it there. */
static int
add_host_file(struct view *v, const struct word *from, const char *path, const char **inner)
{
	const struct mountline *cover;
	const char *host, *shown;
	int error = paths_look_up(&v->paths, from, path, inner, &shown, &cover);

	if (error == 0)
		error = paths_to_host(&v->paths, from, path, &host);
	if (error == 0)
		error = grants_trust(&v->grants, from, host);
	if (error != 0 || (cover != NULL && strcmp(shown, host) == 0))
		return error;
	return grants_mount(&v->grants, from, NULL, *inner,
	    grants_make_uri(&v->grants, "file", host), "");
}

/* A file of Gramine's C library, which the mount of all of them shows. */
static int
add_runtime(struct view *v, const struct word *from, const char *name)
{
	const char *uri = lines_add(&v->paths.texts, "%s/%s\"", v->runtime, name);

	lines_add_once(&v->grants.trusted, uri);
	lines_add_once(&v->folders, RUNTIME_POINT);
	return grants_mount(&v->grants, from, NULL, RUNTIME_POINT,
	    lines_add(&v->paths.texts, "%s\"", v->runtime), "");
}

/* A library that is not of the C library. */
static int
add_library(struct view *v, const struct word *from, const char *path, const char **inner)
{
	int error = add_host_file(v, from, path, inner);

	if (error == 0)
		lines_add_once(&v->folders,
		    lines_add(&v->paths.texts, "%.*s", (int)(libraries_name(*inner) - *inner) - 1,
			*inner));
	return error;
}

/* The libraries of a file; for a program also the loader that starts it. */
static int
add_dependencies(struct view *v, const struct word *from, const char *path, bool is_program)
{
	struct lines list = { .count = 0 };
	const char *library, *inner;
	bool is_dynamic;
	size_t i;
	int error = libraries_list(&list, &is_dynamic, path);

	if (error != 0)
		word_blame(from, error);
	/* First, so that Gramine's C library comes first on the path of libraries. */
	else if (is_program && is_dynamic)
		error = add_runtime(v, from, "ld-linux-x86-64.so.2");
	for (i = 0; error == 0 && i < list.count; i++) {
		library = list.at[i];
		if (libraries_is_libc(library)) {
			error = add_runtime(v, from, libraries_name(library));
			continue;
		}
		if (*path != '/')
			library = paths_make_relative(&v->paths, library);
		error = add_library(v, from, library, &inner);
	}
	lines_fini(&list);
	return error;
}

int
view_add_library(struct view *v, const struct word *from, const char *path, const char **inner)
{
	int error;

	if (libraries_is_libc(path)) {
		*inner = lines_add(&v->paths.texts, RUNTIME_POINT "/%s", libraries_name(path));
		return add_runtime(v, from, libraries_name(path));
	}
	error = add_dependencies(v, from, path, false);
	return error == 0 ? add_library(v, from, path, inner) : error;
}

int
view_add_program(struct view *v, const struct word *from, const char *path, const char **inner)
{
	int error = add_dependencies(v, from, path, true);

	return error == 0 ? add_host_file(v, from, path, inner) : error;
}
