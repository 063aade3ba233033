#include "deploy/gramine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "deploy/libraries.h"
#include "deploy/lines.h"
#include "deploy/package.h"
#include "deploy/toml.h"
#include "deploy/view.h"

/* The key of encrypted files: by default the one that comes after attestation. */
#define KEY_DEFAULT "default"
#define KEY_OF_PROCESSOR "_sgx_"
/* A trial's: as the host reads it here, it may be any. */
#define KEY_OF_TRIAL "0123456789abcdef0123456789abcdef"

/* The state of making. */
struct maker {
	const struct package *p;
	const struct gramine_config *config;
	const char *key_name;
	struct view view;
	const char *program;   /* as it sees itself */
	struct lines preloads; /* as the program sees them */
	struct lines out;
};

/* Refuses what Gramine does not have, or what its processors do not take. */
static int
check(const struct package *p, const struct gramine_config *config)
{
	if (p->server.text != NULL)
		return word_fail(&p->server, -EINVAL, "Gramine has no time server");
	if (p->size.text != NULL && (p->size_mib & (p->size_mib - 1)) != 0)
		return word_fail(&p->size, -EINVAL, "the size of an enclave is a power of two");
	if (p->exitless.text != NULL && !config->is_trial)
		return word_fail(&p->exitless, -EINVAL,
		    "Gramine calls exitless threads insecure: only with --trial");
	if (p->program.text == NULL)
		return error_message(-EINVAL, "%s:1:1: Gramine needs a program: EXEC file:PROGRAM",
		    p->file);
	return 0;
}

static int
add_module(struct maker *m, const struct module *module)
{
	const char *inner;

	return view_add_library(&m->view, &module->uri, package_path(&module->uri), &inner);
}

static int
add_modules(struct maker *m)
{
	const struct module *module;
	int error;

	TAILQ_FOREACH(module, &m->p->modules, link) {
		error = add_module(m, module);
		if (error != 0)
			return error;
	}
	return 0;
}

static int
add_preloads(struct maker *m)
{
	const struct word option = { .file = "-p" };
	const char *inner;
	size_t i;
	int error;

	for (i = 0; i < m->config->preload_count; i++) {
		error = view_add_library(&m->view, &option, m->config->preloads[i], &inner);
		if (error != 0)
			return error;
		lines_add_once(&m->preloads, inner);
	}
	return 0;
}

/* Collects all that the program needs of the host. */
static int
look(struct maker *m)
{
	const struct package *p = m->p;
	int error = view_add_mounts(&m->view);

	if (error == 0)
		error = view_add_program(&m->view, &p->program, package_path(&p->program),
		    &m->program);
	if (error == 0)
		error = add_modules(m);
	if (error == 0)
		error = add_preloads(m);
	if (error == 0 && p->ca_file.text != NULL)
		error = view_add_file(&m->view, &p->ca_file, p->ca_file.text);
	if (error == 0 && p->cert_file.text != NULL)
		error = view_add_file(&m->view, &p->cert_file, p->cert_file.text);
	if (error == 0 && p->conf_file.text != NULL)
		error = view_add_file(&m->view, &p->conf_file, p->conf_file.text);
	return error;
}

static const char *
quote(struct maker *m, const char *text)
{
	return toml_quote(&m->view.paths.texts, text);
}

/* NAME = [ one element a line ] */
static void
put_array(struct maker *m, const char *name, const struct lines *elements)
{
	size_t i;

	if (elements->count == 0)
		return;
	lines_add(&m->out, "%s = [", name);
	for (i = 0; i < elements->count; i++)
		lines_add(&m->out, "  %s,", elements->at[i]);
	lines_add(&m->out, "]");
}

static void
put_arguments(struct maker *m)
{
	const struct gramine_config *config = m->config;
	size_t i;

	if (config->is_trial && config->argument_count == 0) {
		lines_add(&m->out, "loader.insecure__use_cmdline_argv = true");
		return;
	}
	lines_add(&m->out, "loader.argv = [");
	lines_add(&m->out, "  %s,", quote(m, libraries_name(m->program)));
	for (i = 0; i < config->argument_count; i++)
		lines_add(&m->out, "  %s,", quote(m, config->arguments[i]));
	lines_add(&m->out, "]");
}

/* loader.env.NAME, a list of paths */
static void
put_path_variable(struct maker *m, const char *name, const struct lines *paths)
{
	const char *value = "";
	size_t i;

	for (i = 0; i < paths->count; i++)
		value = lines_add(&m->view.paths.texts, "%s%s%s", value, i == 0 ? "" : ":",
		    paths->at[i]);
	if (paths->count > 0)
		lines_add(&m->out, "loader.env.%s = %s", name, quote(m, value));
}

static void
put_environment(struct maker *m)
{
	const char *variable, *value;
	size_t i;

	put_path_variable(m, "LD_LIBRARY_PATH", &m->view.folders);
	put_path_variable(m, "LD_PRELOAD", &m->preloads);
	for (i = 0; i < m->config->variable_count; i++) {
		variable = m->config->variables[i];
		value = strchr(variable, '=');
		lines_add(&m->out, "loader.env.%.*s = %s", (int)(value - variable), variable,
		    quote(m, value + 1));
	}
}

/* Where the key of encrypted files comes from. */
static void
put_key(struct maker *m)
{
	if (!m->view.has_secrets ||
	    strncmp(m->key_name, KEY_OF_PROCESSOR, strlen(KEY_OF_PROCESSOR)) == 0)
		return;
	if (m->config->is_trial)
		lines_add(&m->out, "fs.insecure__keys.%s = \"" KEY_OF_TRIAL "\"", m->key_name);
	else
		lines_add(&m->out, "sgx.remote_attestation = \"dcap\"");
}

static void
put_enclave(struct maker *m)
{
	const struct package *p = m->p;

	if (m->config->is_trial)
		lines_add(&m->out, "sgx.debug = true");
	if (p->size.text != NULL)
		lines_add(&m->out, "sgx.enclave_size = \"%uM\"", p->size_mib);
	if (p->threads.text != NULL)
		lines_add(&m->out, "sgx.max_threads = %u", p->thread_count);
	if (p->exitless.text != NULL)
		lines_add(&m->out, "sgx.insecure__rpc_thread_num = %u", p->thread_count);
}

static void
put_all(struct maker *m)
{
	grants_sort(&m->view.grants);
	lines_add(&m->out, "# Made by makemanifest: gramine-manifest makes a manifest of it.");
	if (m->config->is_trial)
		lines_add(&m->out, "# For a trial: the host knows all secrets of this one.");
	lines_add(&m->out, "libos.entrypoint = %s", quote(m, m->program));
	lines_add(&m->out, "loader.log_level = \"%s\"", m->p->is_debugged ? "debug" : "error");
	put_arguments(m);
	put_environment(m);
	put_array(m, "fs.mounts", &m->view.grants.mounts);
	lines_add(&m->out, "sys.enable_sigterm_injection = true");
	put_key(m);
	put_enclave(m);
	put_array(m, "sgx.trusted_files", &m->view.grants.trusted);
	put_array(m, "sgx.allowed_files", &m->view.grants.allowed);
}

static int
make(struct maker *m)
{
	int error = check(m->p, m->config);

	if (error == 0)
		error = view_init(&m->view, m->p, m->config->runtime, m->key_name);
	if (error == 0)
		error = look(m);
	if (error != 0)
		return error;
	put_all(m);
	error = view_error(&m->view);
	if (error == 0)
		error = lines_error(&m->preloads);
	return error == 0 ? lines_error(&m->out) : error;
}

int
gramine_make(struct lines *out, const struct package *p, const struct gramine_config *config)
{
	struct maker m = {
		.p = p,
		.config = config,
		.key_name = config->key_name == NULL ? KEY_DEFAULT : config->key_name,
	};
	size_t i;
	int error = make(&m);

	for (i = 0; error == 0 && i < m.out.count; i++)
		lines_add(out, "%s", m.out.at[i]);
	view_fini(&m.view);
	lines_fini(&m.preloads);
	lines_fini(&m.out);
	return error == 0 ? lines_error(out) : error;
}
