#include "deploy/smstat/command.h"

#include <bsd/stdlib.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/commandline.h"
#include "common/base/error.h"

#define NAME "smstat"

enum { INTERVAL_DEFAULT = 1, INTERVAL_MOST = 86400 }; /* seconds */
enum { OPERAND = 1, OPTION_VERSION = 256 };

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "reload", no_argument, NULL, 'r' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void
print_usage(FILE *to)
{
	fprintf(to,
	    "usage: " NAME
	    " [-h | -jw | -m | -r] [-i SECONDS] MOUNTFILE [POINT]\n"
	    "       " NAME
	    " [-h | -jw | -m | -r] [-i SECONDS] [-C CRL] [-N NAME] -Z CA CERT KEY ADDRESS\n");
}

static void
print_help(void)
{
	print_usage(stdout);
	printf(
	    "\n"
	    "Shows the memory files of servers, to their operators: servers that have --operators with the\n"
	    "name in the certificate that is used here; smstat(1) tells what the columns are.\n"
	    "\n"
	    "MOUNTFILE of smclient.conf(5): asks each server in it, or that of the mount at POINT\n"
	    "ADDRESS   a path or unix:PATH, abstract:NAME, pipe:NUMBER, tcp:HOST:PORT\n"
	    "-C CRL    revocation lists (PEM): refuses a server that is on them; with -Z\n"
	    "-i SECONDS  between two looks, from which the rates come (1; 0: one look, no rates)\n"
	    "-j        JSON\n"
	    "-m        text for Prometheus, from one look\n"
	    "-N NAME   that the server's certificate must have (over TCP: the host, unless given)\n"
	    "-r, --reload  makes each server load certificates and revocation lists again, and open its\n"
	    "          log again, as SIGHUP does; shows nothing else\n"
	    "-w        looks again and again; with -j prints a line each time\n"
	    "-Z CA CERT KEY\n"
	    "          TLS with this certificate and key (PEM); the server needs a certificate of CA\n"
	    "-h, --help  print this\n"
	    "--version  print the version\n");
}

static enum command_result __attribute__((format(printf, 1, 2)))
usage_error(const char *format, ...)
{
	va_list args;

	fprintf(stderr, NAME ": ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	print_usage(stderr);
	return COMMAND_WRONG;
}

static enum command_result
set_interval(struct command *c, const char *text)
{
	const char *wrong;
	long long seconds = strtonum(text, 0, INTERVAL_MOST, &wrong);

	if (wrong != NULL)
		return usage_error("-i %s: expected a number of seconds, 0 to %d", text,
		    INTERVAL_MOST);
	c->interval = (unsigned)seconds;
	return COMMAND_RUN;
}

static enum command_result
set_format(struct command *c, enum command_format format)
{
	if (c->format != COMMAND_TABLE && c->format != format)
		return usage_error("-j and -m exclude each other");
	c->format = format;
	return COMMAND_RUN;
}

/* -Z, whose second and third words getopt(3) does not know. */
static enum command_result
set_keys(struct command *c, int argc, char **argv)
{
	if (optind + 2 > argc)
		return usage_error("-Z takes three files: CA CERT KEY");
	c->keys.ca = optarg;
	c->keys.certificate = argv[optind++];
	c->keys.key = argv[optind++];
	return COMMAND_RUN;
}

/* A word that is neither an option nor an argument of one. */
static enum command_result
set_operand(struct command *c, const char *word)
{
	if (c->place == NULL)
		c->place = word;
	else if (c->point == NULL)
		c->point = word;
	else
		return usage_error("%s: there is one argument too many", word);
	return COMMAND_RUN;
}

static enum command_result
set_option(struct command *c, int option, int argc, char **argv)
{
	switch (option) {
	case OPERAND:
		return set_operand(c, optarg);
	case 'h':
		print_help();
		return COMMAND_EXIT;
	case OPTION_VERSION:
		printf(NAME " %s\n", MEMSERVER_VERSION);
		return COMMAND_EXIT;
	case 'i':
		return set_interval(c, optarg);
	case 'j':
		return set_format(c, COMMAND_JSON);
	case 'm':
		return set_format(c, COMMAND_METRICS);
	case 'N':
		c->keys.name = optarg;
		return COMMAND_RUN;
	case 'C':
		c->keys.crl = optarg;
		return COMMAND_RUN;
	case 'r':
		c->is_reload = true;
		return COMMAND_RUN;
	case 'w':
		c->is_watching = true;
		return COMMAND_RUN;
	case 'Z':
		return set_keys(c, argc, argv);
	default:
		print_usage(stderr);
		return COMMAND_WRONG;
	}
}

/* Checks the options that need or exclude each other. */
static enum command_result
check_together(const struct command *c)
{
	if (c->is_watching && c->format == COMMAND_METRICS)
		return usage_error("-m and -w exclude each other");
	if (c->is_reload && (c->is_watching || c->format != COMMAND_TABLE))
		return usage_error("-r and -j, -m or -w exclude each other");
	if (c->is_watching && c->interval == 0)
		return usage_error("-w needs an interval (-i) of at least 1 second");
	if (!c->is_address && c->keys.crl != NULL)
		return usage_error("-C is for an ADDRESS with -Z; in a mount file it is CRLFILE");
	if (c->is_address && c->keys.crl != NULL && c->keys.ca == NULL)
		return usage_error("-C needs -Z");
	if (!c->is_address && c->keys.name != NULL)
		return usage_error("-N is for an ADDRESS with -Z; in a mount file it is name=");
	if (c->is_address && c->keys.name != NULL && c->keys.ca == NULL)
		return usage_error("-N needs -Z: only TLS can check a name");
	if (c->is_address && c->keys.ca == NULL && c->address.kind == ADDR_TCP)
		return usage_error("%s: plaintext over TCP is refused: give -Z CA CERT KEY",
		    c->place);
	return COMMAND_RUN;
}

static enum command_result
set_address(struct command *c)
{
	if (addr_parse(&c->address, c->place, ADDR_RELATIVE) != 0)
		return usage_error("%s", error_text());
	if (c->address.kind == ADDR_TCP && *c->address.host == '\0')
		return usage_error("%s: the host is missing: tcp:HOST:PORT", c->place);
	return COMMAND_RUN;
}

/* All words are read. */
static enum command_result
finish(struct command *c)
{
	if (c->place == NULL)
		return usage_error("a mount file, or the address of a server, is missing");
	c->is_address = c->keys.ca != NULL || servers_is_address(c->place);
	if (c->is_address && c->point != NULL)
		return usage_error("%s: there is one argument too many", c->point);
	if (c->is_address && set_address(c) != COMMAND_RUN)
		return COMMAND_WRONG;
	return check_together(c);
}

enum command_result
command_parse(struct command *c, int argc, char **argv)
{
	enum command_result result = COMMAND_RUN;
	int option;

	*c = (struct command){ .interval = INTERVAL_DEFAULT };
	while (result == COMMAND_RUN &&
	    (option = commandline_next(argc, argv, "-C:hi:jmN:rwZ:", long_options)) != -1)
		result = set_option(c, option, argc, argv);
	while (result == COMMAND_RUN && optind < argc)
		result = set_operand(c, argv[optind++]);
	return result == COMMAND_RUN ? finish(c) : result;
}
