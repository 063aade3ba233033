#include "common/client/mountfile.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/premanifest.h"
#include "common/client/directive.h"
#include "common/client/mountspec.h"
#include "common/crypto/tls_context.h"

/* MOUNT URI PATH TYPE [OPTIONS] */
static int
parse_mount(struct mountfile *f, const struct premanifest_line *line,
    struct premanifest_fault *fault)
{
	const char *options = line->count > 4 ? line->words[4] : NULL;
	enum mountspec_word wrong;
	struct mount *m;
	int error;

	if (line->count < 4)
		return premanifest_refuse(fault, 0, -EINVAL,
		    "MOUNT needs a URI, a path and a type");
	if (directive_is_packagers_type(line->words[3]))
		return 0;
	if (line->count > 5)
		return premanifest_refuse(fault, 5, -EINVAL,
		    "MOUNT has too many words: commas separate options");
	error = mountspec_parse(&m, f->base, line->words[1], line->words[2], line->words[3],
	    options, &wrong);
	if (error != 0)
		return premanifest_refuse_told(fault, wrong, error);
	error = mountspec_read_key(m);
	if (error != 0) {
		mount_destroy(m);
		return premanifest_refuse_told(fault, MOUNTSPEC_OPTIONS, error);
	}
	if (mount_at(&f->mounts, m->point) != NULL) {
		mount_destroy(m);
		return premanifest_refuse(fault, 2, -EEXIST, "MOUNT: the mount point is taken");
	}
	TAILQ_INSERT_TAIL(&f->mounts, m, link);
	return 0;
}

/* CAFILE, CERTFILE, KEYFILE, CRLFILE: one word, and one line of each. */
static int
parse_path(const struct mountfile *f, char **out, const struct premanifest_line *line,
    struct premanifest_fault *fault)
{
	int error;

	if (line->count != 2)
		return premanifest_refuse(fault, line->count > 2 ? 2 : 0, -EINVAL,
		    "the directive names exactly one file");
	if (*out != NULL)
		return premanifest_refuse(fault, 0, -EEXIST, "the file has this directive already");
	error = mount_resolve(out, f->base, line->words[1]);
	if (error != 0)
		return premanifest_refuse(fault, 1, error,
		    error == -ENOMEM ? "no memory" : error_text());
	return 0;
}

static int
parse_directive(void *arg, const struct premanifest_line *line, struct premanifest_fault *fault)
{
	struct mountfile *f = arg;
	const char *word = line->words[0];

	if (strcmp(word, "MOUNT") == 0)
		return parse_mount(f, line, fault);
	if (strcmp(word, "CAFILE") == 0)
		return parse_path(f, &f->ca_file, line, fault);
	if (strcmp(word, "CERTFILE") == 0)
		return parse_path(f, &f->cert_file, line, fault);
	if (strcmp(word, "KEYFILE") == 0)
		return parse_path(f, &f->key_file, line, fault);
	if (strcmp(word, "CRLFILE") == 0)
		return parse_path(f, &f->crl_file, line, fault);
	if (directive_makes_no_mount(word))
		return 0;
	(void)snprintf(fault->reason, sizeof fault->reason,
	    "%.200s: there is no such directive (" DIRECTIVE_NAMES ")", word);
	return -EINVAL;
}

/* Checks what the lines together must fulfil. */
static int
check_whole(const struct mountfile *f, const char *name)
{
	if ((f->cert_file == NULL) != (f->key_file == NULL))
		return error_message(-EINVAL, "%s: CERTFILE and KEYFILE must come together", name);
	if (f->cert_file != NULL && f->ca_file == NULL)
		return error_message(-EINVAL, "%s: CERTFILE needs a CAFILE", name);
	if (f->crl_file != NULL && f->ca_file == NULL)
		return error_message(-EINVAL, "%s: CRLFILE needs a CAFILE", name);
	return 0;
}

int
mountfile_parse(struct mountfile *f, const char *name, const void *bytes, size_t size)
{
	char reason[PREMANIFEST_REASON_SIZE] = "";
	int error = premanifest_parse(name, bytes, size, parse_directive, f, reason);

	return error == 0 ? check_whole(f, name) : error_message(error, "%s", reason);
}

/* Makes the TLS context of the PEM files that the mount file at path names, if any. */
static int
create_tls(struct mountfile *f, const char *path)
{
	struct tls_config config = {
		.role = TLS_CLIENT,
		.ca_file = f->ca_file,
		.cert_file = f->cert_file,
		.key_file = f->key_file,
		.crl_file = f->crl_file,
	};
	char reason[TLS_REASON_SIZE] = "";
	int error;

	if (f->ca_file == NULL)
		return 0;
	error = tls_context_create(&f->tls, &config, reason);
	return error == 0 ? 0 : error_message(error, "%s: %s", path, reason);
}

/* The directory of the mount file at path, absolute. */
static int
set_base(struct mountfile *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *here = getcwd(NULL, 0), *directory;
	int error = -ENOMEM;

	if (slash == NULL) {
		f->base = here != NULL ? here : strdup("");
		return f->base != NULL ? 0 : -ENOMEM;
	}
	directory = strndup(path, (size_t)(slash + 1 - path));
	if (directory != NULL)
		error = mount_resolve(&f->base, here != NULL ? here : "", directory);
	free(directory);
	free(here);
	return error;
}

int
mountfile_load(struct mountfile *f, const char *path)
{
	char reason[PREMANIFEST_REASON_SIZE] = "";
	int error = set_base(f, path);

	if (error != 0)
		return error;
	error = premanifest_load(path, parse_directive, f, reason);
	if (error != 0)
		return error_message(error, "%s", reason);
	error = check_whole(f, path);
	return error == 0 ? create_tls(f, path) : error;
}

void
mountfile_fini(struct mountfile *f)
{
	struct mount *m;

	while ((m = TAILQ_FIRST(&f->mounts)) != NULL) {
		TAILQ_REMOVE(&f->mounts, m, link);
		mount_destroy(m);
	}
	tls_context_destroy(f->tls);
	f->tls = NULL;
	free(f->ca_file);
	free(f->cert_file);
	free(f->key_file);
	free(f->crl_file);
	free(f->base);
	f->ca_file = f->cert_file = f->key_file = f->crl_file = f->base = NULL;
}
