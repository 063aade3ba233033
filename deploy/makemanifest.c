/* makemanifest: makes a manifest for Gramine or Graphene of a premanifest; makemanifest(1). */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/commandline.h"
#include "common/base/error.h"
#include "common/base/standard.h"
#include "deploy/gramine.h"
#include "deploy/graphene.h"
#include "deploy/lines.h"
#include "deploy/outfile.h"
#include "deploy/package.h"
#include "deploy/toml.h"

#define NAME "makemanifest"

enum { STATUS_FAILED = 1, STATUS_USAGE = 2 };
enum { OPTION_FOR = 256, OPTION_TRIAL, OPTION_VERSION };

static const struct option long_options[] = {
	{ "for", required_argument, NULL, OPTION_FOR },
	{ "help", no_argument, NULL, 'h' },
	{ "trial", no_argument, NULL, OPTION_TRIAL },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

struct options {
	bool is_for_graphene;
	bool is_for_gramine_only; /* an option of Gramine is there */
	struct gramine_config gramine;
	const char **preloads, **variables; /* with room for all arguments */
	const char *root;                   /* -g */
	const char *out;                    /* NULL: standard output */
	const char *premanifest;
};

static void
print_usage(FILE *to)
{
	fprintf(to,
	    "usage: " NAME
	    " [--for gramine] [--trial] [-e NAME=VALUE]... [-g RUNTIME] [-k KEY]\n"
	    "       [-o FILE] [-p LIBRARY]... PREMANIFEST [ARGUMENT...]\n"
	    "       " NAME " --for graphene -g GRAPHENE [-o FILE] PREMANIFEST\n");
}

static void
print_help(void)
{
	print_usage(stdout);
	printf(
	    "\n"
	    "Makes the manifest of the program that PREMANIFEST describes; makemanifest(1) tells its\n"
	    "directives.  For Gramine the result is a template for gramine-manifest.\n"
	    "\n"
	    "ARGUMENT... of the program, which the host cannot change then (none: it gets none)\n"
	    "--for gramine|graphene\n"
	    "-e NAME=VALUE  a variable of the program's environment\n"
	    "-g DIRECTORY   Graphene's, or that of Gramine's C library: the result is then no template\n"
	    "-k KEY         the key of encrypted files: the name of one that comes after attestation\n"
	    "               (default), _sgx_mrsigner or _sgx_mrenclave\n"
	    "-o FILE        write there instead of to standard output\n"
	    "-p LIBRARY     preload this library\n"
	    "--trial        insecure: without ARGUMENT the host chooses the arguments; encrypted files have\n"
	    "               a key that everybody knows; the enclave can be debugged\n"
	    "-h, --help     print this\n"
	    "--version      print the version\n");
}

static int __attribute__((format(printf, 1, 2))) usage_error(const char *format, ...)
{
	va_list args;

	fprintf(stderr, NAME ": ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	print_usage(stderr);
	return STATUS_USAGE;
}

/* Sets --for. Returns 0 or the exit status, as do the functions below. */
static int
set_target(struct options *o, const char *text)
{
	o->is_for_graphene = strcmp(text, "graphene") == 0;
	if (!o->is_for_graphene && strcmp(text, "gramine") != 0)
		return usage_error("--for %s: it must be gramine or graphene", text);
	return 0;
}

/* -e: NAME=VALUE, where NAME is neither of those that are made here. */
static int
add_variable(struct options *o, char *text)
{
	char *value = strchr(text, '=');
	bool is_key, is_ours;

	if (value == NULL)
		return usage_error("-e %s: NAME=VALUE is expected", text);
	*value = '\0';
	is_key = toml_is_key(text);
	is_ours = strcmp(text, "LD_LIBRARY_PATH") == 0 || strcmp(text, "LD_PRELOAD") == 0;
	if (is_key && !toml_is_utf8(value + 1))
		return usage_error("-e %s: the value is not in UTF-8", text);
	*value = '=';
	if (!is_key)
		return usage_error("-e %s: the name has a character that no variable has", text);
	if (is_ours)
		return usage_error("-e %s: " NAME " sets this variable itself (see -p)", text);
	o->variables[o->gramine.variable_count++] = text;
	return 0;
}

static int
set_key(struct options *o, const char *text)
{
	if (!toml_is_key(text))
		return usage_error("-k %s: letters, digits, - and _ are expected", text);
	o->gramine.key_name = text;
	return 0;
}

static int
set_option(struct options *o, int option)
{
	o->is_for_gramine_only |= option == OPTION_TRIAL || option == 'e' || option == 'k' ||
	    option == 'p';
	switch (option) {
	case OPTION_FOR:
		return set_target(o, optarg);
	case OPTION_TRIAL:
		o->gramine.is_trial = true;
		return 0;
	case 'e':
		return add_variable(o, optarg);
	case 'g':
		o->root = optarg;
		return 0;
	case 'k':
		return set_key(o, optarg);
	case 'o':
		o->out = optarg;
		return 0;
	case 'p':
		o->preloads[o->gramine.preload_count++] = optarg;
		return 0;
	default:
		print_usage(stderr);
		return STATUS_USAGE;
	}
}

/* Reads what follows the options. */
static int
set_arguments(struct options *o, int count, char **arguments)
{
	int i;

	if (count == 0)
		return usage_error("a premanifest is missing");
	o->premanifest = arguments[0];
	o->gramine.arguments = (const char *const *)arguments + 1;
	o->gramine.argument_count = (size_t)count - 1;
	for (i = 1; i < count; i++)
		if (!toml_is_utf8(arguments[i]))
			return usage_error("argument %d is not in UTF-8", i);
	if (!o->is_for_graphene) {
		if (o->root != NULL && (*o->root != '/' || !toml_is_utf8(o->root)))
			return usage_error("-g %s: a path from the root on, in UTF-8, is expected",
			    o->root);
		o->gramine.runtime = o->root;
		return 0;
	}
	if (o->is_for_gramine_only || count > 1)
		return usage_error("--trial, -e, -k, -p and arguments are for Gramine only");
	return o->root == NULL ? usage_error("--for graphene needs -g GRAPHENE") : 0;
}

/* Makes the manifest and writes it. */
static int
make(const struct options *o)
{
	struct lines out = { .count = 0 };
	struct package package;
	int error = package_load(&package, o->premanifest);

	if (error == 0)
		error = o->is_for_graphene ? graphene_make(&out, &package, o->root) :
					     gramine_make(&out, &package, &o->gramine);
	if (error == 0)
		error = outfile_write(o->out, &out);
	package_fini(&package);
	lines_fini(&out);
	return error;
}

static int
run(struct options *o, int argc, char **argv)
{
	int option, status = 0;

	while (status == 0 &&
	    (option = commandline_next(argc, argv, "+e:g:hk:o:p:", long_options)) != -1) {
		if (option == 'h') {
			print_help();
			return standard_finish(NAME, 0);
		}
		if (option == OPTION_VERSION) {
			printf(NAME " %s\n", MEMSERVER_VERSION);
			return standard_finish(NAME, 0);
		}
		status = set_option(o, option);
	}
	if (status == 0)
		status = set_arguments(o, argc - optind, argv + optind);
	if (status != 0)
		return status;
	error_begin();
	status = make(o);
	if (status == 0)
		return 0;
	error_finish(status);
	fprintf(stderr, "%s\n", error_text());
	return STATUS_FAILED;
}

int
main(int argc, char **argv)
{
	struct options o = { .out = NULL };
	int status = STATUS_FAILED;

	standard_hold();
	o.preloads = calloc((size_t)argc, sizeof *o.preloads);
	o.variables = calloc((size_t)argc, sizeof *o.variables);
	o.gramine.preloads = o.preloads;
	o.gramine.variables = o.variables;
	if (o.preloads == NULL || o.variables == NULL)
		fprintf(stderr, NAME ": %s\n", error_string(-ENOMEM));
	else
		status = run(&o, argc, argv);
	free(o.preloads);
	free(o.variables);
	return status;
}
