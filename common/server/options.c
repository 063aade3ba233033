#include "common/server/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/commandline.h"
#include "common/base/error.h"
#include "common/base/size.h"
#include "common/server/notify.h"
#include "common/server/optionfile.h"
#include "common/server/optionset.h"
#include "common/server/optiontable.h"
#include "common/wire/protocol.h"

enum { SOCKET_MODE = 0660, NAME_SIZE = 64 };

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

/* Parses an address; a relative path of a unix socket begins at base. */
static int
parse_from(struct addr *a, const char *text, int flags, const char *base)
{
	char *whole;
	int error = addr_parse(a, text, flags);

	if (error != 0 || a->kind != ADDR_UNIX || *a->name == '/' || *base == '\0')
		return error;
	if (asprintf(&whole, "unix:%s%s", base, a->name) < 0)
		return error_message(-ENOMEM, "%s: %s", text, error_string(-ENOMEM));
	error = addr_parse(a, whole, flags);
	free(whole);
	return error;
}

static enum options_result
parse_address(struct options *o, const struct options_program *program, const char *text,
    const char *base)
{
	const int flags = ADDR_RELATIVE | (o->is_abstract ? ADDR_ABSTRACT : 0);
	struct addr *a = &o->addresses[o->address_count];

	if (parse_from(a, text, flags, base) != 0)
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
refuse_no_address(const struct options *o, const struct options_program *program, bool has_keys)
{
	if (!has_keys)
		return usage_error(program, "no address: give one, such as /run/%s.sock",
		    program->name);
	return usage_error(program,
	    "no address: give one, such as /run/%s.sock (-Z CA CERT KEY has taken %s as the key)",
	    program->name, o->key_file);
}

/* The state of parsing. */
struct parse {
	struct options *o;
	const struct options_program *program;
	int argc;
	char **argv;
	uint32_t set; /* options, by the command line or the file: optiontable_bit() */
	struct options_words words;
};

static bool
is_set(const struct parse *p, int value)
{
	return p->set & optiontable_bit(optiontable_find(value));
}

/* -g and -M have to be of use. */
static enum options_result
check_access(const struct parse *p)
{
	int i;

	if (!is_set(p, 'g') && !is_set(p, 'M'))
		return OPTIONS_RUN;
	for (i = 0; i < p->o->address_count; i++)
		if (p->o->addresses[i].kind == ADDR_UNIX)
			return OPTIONS_RUN;
	return usage_error(p->program,
	    "-%c is for unix sockets with a path, and no address is one%s",
	    is_set(p, 'g') ? 'g' : 'M',
	    notify_socket_count() == 0 ? "" :
					 "; for the sockets of systemd there are SocketGroup= and "
					 "SocketMode= in the .socket file");
}

static enum options_result
add_word(struct parse *p, const char *word)
{
	if (p->words.count == OPTIONS_ADDRESS_MOST)
		return usage_error(p->program, "more than %d addresses", OPTIONS_ADDRESS_MOST);
	p->words.list[p->words.count++] = word;
	return OPTIONS_RUN;
}

/* The command line is read: reads the file that it names. */
static enum options_result
read_file(struct parse *p)
{
	struct options_words addresses = { .count = 0 };

	if (p->o->config_file == NULL)
		return OPTIONS_RUN;
	if (optionfile_read(p->o, &p->set, &addresses, p->program, p->o->config_file) != 0) {
		fprintf(stderr, "%s: %s\n", p->program->name, error_text());
		return OPTIONS_WRONG;
	}
	if (p->words.count == 0)
		p->words = addresses;
	return OPTIONS_RUN;
}

/* All options are known. */
static enum options_result
finish(struct parse *p, bool has_keys)
{
	struct options *o = p->o;
	int i;

	if (check_together(o, p->program) != OPTIONS_RUN ||
	    check_memory(o, p->program) != OPTIONS_RUN)
		return OPTIONS_WRONG;
	for (i = 0; i < p->words.count; i++)
		if (parse_address(o, p->program, p->words.list[i], p->words.base) != OPTIONS_RUN)
			return OPTIONS_WRONG;
	if (p->words.count == 0 && notify_socket_count() == 0)
		return refuse_no_address(o, p->program, has_keys);
	return check_access(p);
}

/* Sets an option to its arguments: optarg, and what follows it if there are more. */
static enum options_result
set_option(struct parse *p, const struct optiontable_row *row)
{
	const char *words[OPTIONTABLE_ARGUMENTS_MOST] = { optarg };
	const char letter[] = { '-', (char)row->value, '\0' };
	size_t count = optiontable_argument_count(row), i;
	char name[NAME_SIZE];

	snprintf(name, sizeof name, "--%s", row->name);
	for (i = 1; i < count; i++) {
		if (optind == p->argc)
			return usage_error(p->program, "-%c takes three files: %s", row->value,
			    row->argument);
		words[i] = p->argv[optind++];
	}
	if (optionset_apply(p->o, row, words, row->value < 256 ? letter : name) != 0)
		return usage_error(p->program, "%s", error_text());
	p->set |= optiontable_bit(row);
	return OPTIONS_RUN;
}

/* Acts on what getopt_long(3) has found. */
static enum options_result
take(struct parse *p, int option)
{
	switch (option) {
	case 1:
		return add_word(p, optarg);
	case 'f':
		if (p->o->config_file != NULL)
			return usage_error(p->program, "-f is there twice");
		p->o->config_file = optarg;
		return OPTIONS_RUN;
	case 'h':
		print_help(p->program);
		return OPTIONS_EXIT;
	case OPTIONTABLE_VERSION:
		printf("%s %s\n", p->program->name, MEMSERVER_VERSION);
		return OPTIONS_EXIT;
	case '?':
		optiontable_print_usage(p->program, stderr);
		return OPTIONS_WRONG;
	default:
		return set_option(p, optiontable_find(option));
	}
}

enum options_result
options_parse(struct options *o, const struct options_program *program, int argc, char **argv)
{
	struct parse p = { .o = o, .program = program, .argc = argc, .argv = argv };
	char letters[OPTIONTABLE_LETTERS_SIZE];
	struct option longs[OPTIONTABLE_LONGS];
	enum options_result result = OPTIONS_RUN;
	bool has_keys;
	int option;

	optiontable_letters(program, letters);
	optiontable_longs(program, longs);
	*o = (struct options){ .config = server_config_default(), .socket_mode = SOCKET_MODE };
	o->config.memory_limit = 0;
	p.words.base = "";
	optind = 1;
	while (
	    result == OPTIONS_RUN && (option = commandline_next(argc, argv, letters, longs)) != -1)
		result = take(&p, option);
	while (result == OPTIONS_RUN && optind < argc)
		result = add_word(&p, argv[optind++]);
	has_keys = o->key_file != NULL;
	if (result == OPTIONS_RUN)
		result = read_file(&p);
	return result == OPTIONS_RUN ? finish(&p, has_keys) : result;
}

void
options_fini(struct options *o)
{
	while (o->text_count > 0)
		free(o->texts[--o->text_count]);
}
