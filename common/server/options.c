#include "common/server/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/commandline.h"
#include "common/base/error.h"
#include "common/base/size.h"
#include "common/server/notify.h"
#include "common/server/operators.h"
#include "common/server/optiontable.h"
#include "common/wire/protocol.h"

static void
print_help(const struct options_program *program)
{
	optiontable_print_usage(program, stdout);
	printf(
	    "\n"
	    "Serves memory files, shared memory and locks, to processes in enclaves.\n"
	    "\n"
	    "ADDRESS        a path or unix:PATH, abstract:NAME, pipe:NUMBER, tcp:HOST:PORT; sockets that\n"
	    "               systemd passes are served too\n");
	optiontable_print_help(program);
	printf(
	    "\n"
	    "BYTES take K, M or G. SIGHUP reloads certificates and revocation lists and reopens the log,\n"
	    "and so does an operator's smstat -r; SIGUSR1 reopens the log only; SIGTERM stops. What has\n"
	    "changed in the files of -Z and -C is loaded within ten seconds, without a signal.\n");
}

static enum options_result __attribute__((format(printf, 2, 3)))
usage_error(const struct options_program *program, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	optiontable_print_usage(program, stderr);
	return OPTIONS_WRONG;
}

/* Parses the option's argument, a number from least to most; false once its error is printed. */
static bool
parse_number(const struct options_program *program, int option, uint64_t least, uint64_t most,
    uint64_t *out)
{
	int error = size_parse(optarg, least, most, out);

	if (error == 0)
		return true;
	usage_error(program, "-%c %s: expected %s from %llu to %llu", option, optarg,
	    error == -ERANGE ? "a number" : "a number, optionally with K, M or G,",
	    (unsigned long long)least, (unsigned long long)most);
	return false;
}

/* Sets an option that takes a number. */
static bool
set_number(struct options *o, const struct options_program *program, int option)
{
	uint64_t n;

	switch (option) {
	case 'B':
		return parse_number(program, option, SIZE_MIB, UINT64_MAX >> 1,
		    &o->config.memory_limit);
	case 'b':
		if (!parse_number(program, option, 0, 1000000, &n))
			return false;
		o->spin_us = (uint32_t)n;
		return true;
	case 'c':
		if (!parse_number(program, option, 1, 1000000, &n))
			return false;
		o->config.session_limit = (uint32_t)n;
		return true;
	case 'm':
		return parse_number(program, option, SIZE_BLOCK, UINT64_MAX >> 1,
		    &o->config.total_limit);
	case 's':
		return parse_number(program, option, 1, PROTOCOL_SEGMENT_MOST,
		    &o->config.segment_limit);
	default:
		if (!parse_number(program, option, 1, 24 * 3600 * 1000, &n))
			return false;
		o->config.lease_ms = (uint32_t)n;
		return true;
	}
}

/*
 * A peer may use 15/16 of the memory for requests and replies: the largest body must fit. By
 * default there is so much; an explicit -B that is less is an error.
 */
static enum options_result
check_memory(struct options *o, const struct options_program *program)
{
	uint64_t body = protocol_largest_body((uint32_t)o->config.segment_limit);
	uint64_t needed = body + body / 15 + SIZE_MIB;

	if (o->config.memory_limit == 0) {
		o->config.memory_limit = PROTOCOL_MEMORY_DEFAULT;
		if (needed > o->config.memory_limit)
			o->config.memory_limit = needed;
	}
	if (o->config.memory_limit >= needed)
		return OPTIONS_RUN;
	return usage_error(program, "-B: segments of %llu bytes (-s) need at least %llu",
	    (unsigned long long)o->config.segment_limit, (unsigned long long)needed);
}

static enum options_result
set_operators(struct options *o, const struct options_program *program)
{
	if (o->operators != NULL)
		return usage_error(program, "--operators is there twice");
	if (!operators_is_valid(optarg))
		return usage_error(program, "--operators %s: an empty name", optarg);
	o->operators = optarg;
	return OPTIONS_RUN;
}

/* Checks the options that need or exclude each other. */
static enum options_result
check_together(const struct options *o, const struct options_program *program)
{
	if (o->anonymous && o->ca_file == NULL)
		return usage_error(program, "-n needs -Z");
	if (o->crl_file != NULL && o->ca_file == NULL)
		return usage_error(program, "-C needs -Z");
	if (o->operators != NULL && o->ca_file == NULL)
		return usage_error(program, "--operators needs -Z");
	if (o->operators != NULL && o->anonymous)
		return usage_error(program, "--operators and -n exclude each other");
	return OPTIONS_RUN;
}

/* An address with a prefix, or an option. */
static bool
is_no_file(const char *word)
{
	struct addr a;

	return *word == '-' ||
	    (addr_parse(&a, word, 0) == 0 &&
		(a.kind != ADDR_UNIX || strncmp(word, "unix:", 5) == 0));
}

/* -Z: its second and third file follow its argument. */
static enum options_result
set_files(struct options *o, const struct options_program *program, int argc, char **argv)
{
	const char *const files[] = { optarg, argv[optind],
		argv[optind] != NULL ? argv[optind + 1] : NULL };
	size_t i;

	if (optind + 2 > argc)
		return usage_error(program, "-Z takes three files: CA CERT KEY");
	for (i = 0; i < sizeof files / sizeof files[0]; i++)
		if (is_no_file(files[i]))
			return usage_error(program, "-Z takes three files, CA CERT KEY: %s is none",
			    files[i]);
	o->ca_file = files[0];
	o->cert_file = files[1];
	o->key_file = files[2];
	optind += 2;
	return OPTIONS_RUN;
}

static enum options_result
parse_address(struct options *o, const struct options_program *program, const char *text, int flags)
{
	struct addr *a = &o->addresses[o->address_count];

	if (addr_parse(a, text, flags) != 0)
		return usage_error(program, "%s", error_text());
	if (a->kind == ADDR_TCP && o->ca_file == NULL)
		return usage_error(program,
		    "%s: plaintext over TCP is refused: give -Z CA CERT KEY, or use a unix socket",
		    text);
	o->address_count++;
	return OPTIONS_RUN;
}

/* Nothing to listen on: perhaps -Z took the address for its key. */
static enum options_result
refuse_no_address(const struct options *o, const struct options_program *program)
{
	if (o->key_file == NULL)
		return usage_error(program, "no address: give one, such as /run/%s.sock",
		    program->name);
	return usage_error(program,
	    "no address: give one, such as /run/%s.sock (-Z CA CERT KEY has taken %s as the key)",
	    program->name, o->key_file);
}

/* The operands, in their order; options behind them tell what they are. */
struct words {
	const char *list[OPTIONS_ADDRESS_MOST];
	int count;
};

static enum options_result
add_word(struct words *w, const struct options_program *program, const char *word)
{
	if (w->count == OPTIONS_ADDRESS_MOST)
		return usage_error(program, "more than %d addresses", OPTIONS_ADDRESS_MOST);
	w->list[w->count++] = word;
	return OPTIONS_RUN;
}

/* All options are known. */
static enum options_result
finish(struct options *o, const struct options_program *program, const struct words *w)
{
	const int flags = ADDR_RELATIVE | (o->is_abstract ? ADDR_ABSTRACT : 0);
	int i;

	if (check_together(o, program) != OPTIONS_RUN || check_memory(o, program) != OPTIONS_RUN)
		return OPTIONS_WRONG;
	for (i = 0; i < w->count; i++)
		if (parse_address(o, program, w->list[i], flags) != OPTIONS_RUN)
			return OPTIONS_WRONG;
	if (w->count == 0 && notify_socket_count() == 0)
		return refuse_no_address(o, program);
	return OPTIONS_RUN;
}

static enum options_result
set_option(struct options *o, const struct options_program *program, int option)
{
	switch (option) {
	case 'a':
		o->is_abstract = true;
		break;
	case 'C':
		o->crl_file = optarg;
		break;
	case 'd':
		o->daemonise = true;
		break;
	case 'h':
		print_help(program);
		return OPTIONS_EXIT;
	case 'l':
		o->log_file = optarg;
		break;
	case 'n':
		o->anonymous = true;
		break;
	case 'p':
		o->pid_file = optarg;
		break;
	case 'r':
		o->memdir = optarg;
		break;
	case 'v':
		o->verbose = true;
		break;
	case OPTIONTABLE_OPERATORS:
		return set_operators(o, program);
	case OPTIONTABLE_VERSION:
		printf("%s %s\n", program->name, MEMSERVER_VERSION);
		return OPTIONS_EXIT;
	case '?':
		optiontable_print_usage(program, stderr);
		return OPTIONS_WRONG;
	default:
		return set_number(o, program, option) ? OPTIONS_RUN : OPTIONS_WRONG;
	}
	return OPTIONS_RUN;
}

enum options_result
options_parse(struct options *o, const struct options_program *program, int argc, char **argv)
{
	char letters[OPTIONTABLE_LETTERS_SIZE];
	struct option longs[OPTIONTABLE_LONGS];
	enum options_result result = OPTIONS_RUN;
	struct words w = { .count = 0 };
	int option;

	optiontable_letters(program, letters);
	optiontable_longs(program, longs);
	*o = (struct options){ .config = server_config_default() };
	o->config.memory_limit = 0;
	optind = 1;
	while (result == OPTIONS_RUN &&
	    (option = commandline_next(argc, argv, letters, longs)) != -1) {
		if (option == 1)
			result = add_word(&w, program, optarg);
		else if (option == 'Z')
			result = set_files(o, program, argc, argv);
		else
			result = set_option(o, program, option);
	}
	while (result == OPTIONS_RUN && optind < argc)
		result = add_word(&w, program, argv[optind++]);
	return result == OPTIONS_RUN ? finish(o, program, &w) : result;
}
