#include "deploy/graphene.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/client/mount.h"
#include "common/crypto/pem.h"
#include "deploy/hostfiles.h"
#include "deploy/libraries.h"
#include "deploy/lines.h"
#include "deploy/package.h"

/* Where Graphene's own libraries are mounted. */
#define RUNTIME_POINT "/graphene"

enum { VALUE_MOST = 4096 }; /* bytes that Graphene reads */

/* The state of making. */
struct maker {
	const struct package *p;
	char *root;           /* absolute */
	struct lines body;    /* the manifest without its first line */
	struct lines folders; /* where the libraries are, each once */
	bool has_runtime;     /* a library is Graphene's */
	struct lines texts;   /* what the functions below make */
};

/* Makes a key of group, name and end; of name only letters and digits stay, the rest is _. */
static const char *
make_key(struct maker *m, const char *group, const char *name, const char *end)
{
	char *copy = lines_add(&m->texts, "%s", name), *c;

	for (c = copy; *c != '\0'; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') &&
		    !(*c >= '0' && *c <= '9'))
			*c = '_';
	return lines_add(&m->texts, "%s.%s%s", group, copy, end);
}

static const char *
make_uri(struct maker *m, const char *path)
{
	return lines_add(&m->texts, "file:%s", path);
}

/* True if the key has another value than in line. */
static bool
is_taken(const struct maker *m, const char *key, const char *line)
{
	size_t i, size = strlen(key);

	for (i = 0; i < m->body.count; i++)
		if (strncmp(m->body.at[i], key, size) == 0 &&
		    strncmp(m->body.at[i] + size, " = ", 3) == 0 &&
		    strcmp(m->body.at[i], line) != 0)
			return true;
	return false;
}

/* Adds a line for the word of the premanifest that asks for it. */
static int
put(struct maker *m, const struct word *from, const char *key, const char *value)
{
	const char *line = lines_add(&m->texts, "%s = %s", key, value);

	if (strchr(value, '#') != NULL)
		return word_fail(from, -EINVAL, "%s: Graphene takes a # for a comment", value);
	if (is_taken(m, key, line))
		return word_fail(from, -EEXIST, "%s: the key %s has another value already", value,
		    key);
	lines_add_once(&m->body, line);
	return 0;
}

static int
put_trusted(struct maker *m, const struct word *from, const char *name, const char *uri)
{
	return put(m, from, make_key(m, "sgx.trusted_files", name, ""), uri);
}

/* The three lines of a mount. */
static int
put_mount(struct maker *m, const struct word *from, const char *uri, const char *point,
    const char *type)
{
	const char *path = *point == '\0' ? "/" : point;
	int error = put(m, from, make_key(m, "fs.mount", path, ".path"), path);

	if (error == 0)
		error = put(m, from, make_key(m, "fs.mount", path, ".type"), type);
	if (error == 0)
		error = put(m, from, make_key(m, "fs.mount", path, ".uri"), uri);
	return error;
}

/* A directory of the host in which the program may write. */
static int
put_writable(struct maker *m, const struct word *from, const char *path, const char *point)
{
	const char *uri = make_uri(m, path);
	int error = put_mount(m, from, uri, point, "chroot");

	if (error != 0)
		return error;
	return put(m, from, make_key(m, "sgx.allowed_files", path, ""), uri);
}

/* One that it may read, file by file. */
static int
put_readable(struct maker *m, const struct mountline *line)
{
	struct lines files = { .count = 0 };
	size_t i;
	int error = hostfiles_list(&files, mountline_host(line));

	if (error != 0)
		word_blame(&line->uri, error);
	else
		error = put_mount(m, &line->uri, line->uri.text, line->point, "chroot");
	for (i = 0; error == 0 && i < files.count; i++)
		error = put_trusted(m, &line->uri, files.at[i], make_uri(m, files.at[i]));
	lines_fini(&files);
	return error;
}

static int
put_line(struct maker *m, const struct mountline *line)
{
	int error;

	if (line->type == MOUNTLINE_ENCRYPTED)
		return word_fail(&line->type_word, -EINVAL, "Graphene has no encrypted files");
	if (line->type == MOUNTLINE_CHROOT)
		return line->is_writable ?
		    put_writable(m, &line->uri, mountline_host(line), line->point) :
		    put_readable(m, line);
	error = put_mount(m, &line->uri, line->uri.text, line->point, line->type_word.text);
	if (error != 0 || line->type == MOUNTLINE_NEXTFS || line->type == MOUNTLINE_SMDISH)
		return error;
	if (line->second == NULL)
		return word_fail(&line->path, -EINVAL,
		    "Graphene needs a second mount point, for the directory: POINT,POINT");
	return put_writable(m, &line->path, line->mount->directory, line->second);
}

static int
put_mounts(struct maker *m)
{
	const struct mountline *line;
	int error;

	TAILQ_FOREACH(line, &m->p->mounts, link) {
		error = put_line(m, line);
		if (error != 0)
			return error;
	}
	return 0;
}

/* A library of the C library: Graphene has its own. */
static int
put_own_library(struct maker *m, const struct word *from, const char *name)
{
	const char *runtime = lines_add(&m->texts, "file:%s/Runtime", m->root);
	int error = put_mount(m, from, runtime, RUNTIME_POINT, "chroot");

	m->has_runtime = true;
	if (error != 0)
		return error;
	return put_trusted(m, from, name, lines_add(&m->texts, "%s/%s", runtime, name));
}

/* path begins with a slash. */
static int
put_library(struct maker *m, const struct word *from, const char *path)
{
	const char *name = libraries_name(path);
	int error, size = (int)(name - path);
	const char *folder;

	if (libraries_is_libc(path))
		return put_own_library(m, from, name);
	folder = lines_add(&m->texts, "%.*s", size == 1 ? 1 : size - 1, path);
	lines_add_once(&m->folders, folder);
	error = put_mount(m, from, make_uri(m, folder), folder, "chroot");
	return error == 0 ? put_trusted(m, from, name, make_uri(m, path)) : error;
}

static int
put_libraries(struct maker *m, const struct word *from, const char *path)
{
	struct lines list = { .count = 0 };
	size_t i;
	int error = libraries_list(&list, NULL, path);

	if (error != 0)
		word_blame(from, error);
	for (i = 0; error == 0 && i < list.count; i++)
		error = put_library(m, from, list.at[i]);
	lines_fini(&list);
	return error;
}

/* Sets *out to path from the root on; the caller frees it. */
static int
make_absolute(char **out, const char *path)
{
	char *here = *path == '/' ? strdup("") : getcwd(NULL, 0);
	int n;

	if (here == NULL)
		return -errno;
	n = asprintf(out, "%s%s%s", here, *path == '/' ? "" : "/", path);
	free(here);
	return n < 0 ? -ENOMEM : 0;
}

static int
put_program(struct maker *m)
{
	const struct word *from = &m->p->program;
	const char *path = package_path(from);
	char *absolute;
	int error = make_absolute(&absolute, path);

	if (error != 0)
		return error;
	error = put(m, from, "loader.exec", make_uri(m, absolute));
	free(absolute);
	if (error == 0)
		error = put(m, from, "loader.execname", libraries_name(path));
	return error == 0 ? put_libraries(m, from, path) : error;
}

static int
put_module(struct maker *m, const struct module *module)
{
	const char *path = package_path(&module->uri);
	int error;

	if (*path != '/')
		return word_fail(&module->uri, -EINVAL,
		    "Graphene needs the path of a MODULE from the root on");
	error = put_libraries(m, &module->uri, path);
	return error == 0 ? put_library(m, &module->uri, path) : error;
}

static int
put_modules(struct maker *m)
{
	const struct module *module;
	int error;

	TAILQ_FOREACH(module, &m->p->modules, link) {
		error = put_module(m, module);
		if (error != 0)
			return error;
	}
	return 0;
}

/* The library OS, and where the program's libraries are. */
static void
put_loader(struct maker *m)
{
	const char *path = m->has_runtime ? RUNTIME_POINT : "";
	size_t i;

	for (i = 0; i < m->folders.count; i++)
		path = lines_add(&m->texts, "%s%s%s", path, *path == '\0' ? "" : ":",
		    m->folders.at[i]);
	lines_add(&m->body, "loader.env.LD_LIBRARY_PATH = %s", path);
	lines_add(&m->body, "loader.preload = file:%s/Runtime/libsysdb.so", m->root);
	lines_add(&m->body, "sgx.trusted_files.ld = file:%s/Runtime/ld-linux-x86-64.so.2", m->root);
}

static int
put_certificates(struct maker *m)
{
	const struct package *p = m->p;
	char *hex;
	int error = 0;

	if (p->crl_file.text != NULL)
		return word_fail(&p->crl_file, -EINVAL,
		    "Graphene's memory files know no revocation lists");
	if (p->ca_file.text != NULL) {
		error = pem_certificate(&hex, p->ca_file.text);
		if (error != 0)
			return word_blame(&p->ca_file, error);
		if (strlen(hex) > VALUE_MOST)
			error = word_fail(&p->ca_file, -EFBIG,
			    "%s: the certificate has more than %d bytes", p->ca_file.text,
			    VALUE_MOST / 2);
		else
			error = put(m, &p->ca_file, "phoenix.ca_der", hex);
		free(hex);
	}
	if (error == 0 && p->cert_file.text != NULL)
		error = put_trusted(m, &p->cert_file, p->cert_file.text,
		    make_uri(m, p->cert_file.text));
	if (error == 0 && p->key_file.text != NULL)
		error = put_trusted(m, &p->key_file, p->key_file.text,
		    make_uri(m, p->key_file.text));
	if (error == 0 && p->conf_file.text != NULL)
		error = put_trusted(m, &p->conf_file, p->conf_file.text,
		    make_uri(m, p->conf_file.text));
	return error;
}

static int
put_server(struct maker *m)
{
	const struct package *p = m->p;
	char *modulus, *exponent;
	int error;

	if (p->server.text == NULL)
		return 0;
	error = pem_rsa_public(&modulus, &exponent, p->server_key.text);
	if (error != 0)
		return word_blame(&p->server_key, error);
	error = put(m, &p->server, "timeserver.url", p->server.text);
	lines_add(&m->body, "timeserver.rate = %u", p->rate);
	lines_add(&m->body, "timeserver.rsa_e = %s", exponent);
	lines_add(&m->body, "timeserver.rsa_n = %s", modulus);
	free(modulus);
	free(exponent);
	return error;
}

static void
put_numbers(struct maker *m)
{
	const struct package *p = m->p;

	if (p->debug.text != NULL)
		lines_add(&m->body, "loader.debug_type = %s", p->is_debugged ? "inline" : "none");
	if (p->size.text != NULL)
		lines_add(&m->body, "sgx.enclave_size = %uM", p->size_mib);
	if (p->threads.text != NULL)
		lines_add(&m->body, "sgx.thread_num = %u", p->thread_count);
	if (p->exitless.text != NULL)
		lines_add(&m->body, "sgx.rpc_thread_num = %u", p->thread_count);
}

static int
put_all(struct maker *m)
{
	int error = put_mounts(m);

	if (error == 0 && m->p->program.text != NULL)
		error = put_program(m);
	if (error == 0)
		error = put_modules(m);
	if (error == 0)
		error = put_certificates(m);
	if (error == 0)
		error = put_server(m);
	if (error != 0)
		return error;
	put_numbers(m);
	put_loader(m);
	lines_sort(&m->body);
	return lines_error(&m->folders) == 0 && lines_error(&m->texts) == 0 ?
	    lines_error(&m->body) :
	    -ENOMEM;
}

int
graphene_make(struct lines *out, const struct package *p, const char *root)
{
	struct maker *m = calloc(1, sizeof *m);
	size_t i;
	int error;

	if (m == NULL)
		return -ENOMEM;
	m->p = p;
	error = make_absolute(&m->root, root);
	if (error == 0)
		error = put_all(m);
	if (error == 0)
		lines_add(out, "#!%s/Runtime/pal_loader SGX", m->root);
	for (i = 0; error == 0 && i < m->body.count; i++)
		lines_add(out, "%s", m->body.at[i]);
	lines_fini(&m->body);
	lines_fini(&m->folders);
	lines_fini(&m->texts);
	free(m->root);
	free(m);
	return error == 0 ? lines_error(out) : error;
}
