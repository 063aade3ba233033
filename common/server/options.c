#include "common/server/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/size.h"
#include "common/server/operators.h"
#include "common/wire/protocol.h"

enum { OPTION_VERSION = 256, OPTION_OPERATORS };

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "operators", required_argument, NULL, OPTION_OPERATORS },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void
print_usage(FILE *to, const struct options_program *program)
{
	fprintf(to,
	    "usage: %s [-adhnv] [-B BYTES] [-b MICROS] [-c CLIENTS] [-l LOGFILE] [-m BYTES]\n"
	    "       [-p PIDFILE] %s[-s BYTES]%s [-Z CA CERT KEY] [--operators NAME,...] ADDRESS ...\n",
	    program->name, program->has_memdir ? "[-r MEMDIR] " : "",
	    program->has_lease ? " [-t MS]" : "");
}

static void
print_help(const struct options_program *program)
{
	print_usage(stdout, program);
	printf(
	    "\n"
	    "Serves memory files, shared memory and locks, to processes in enclaves.\n"
	    "\n"
	    "ADDRESS   /path or unix:PATH, abstract:NAME, pipe:NUMBER, tcp:HOST:PORT; sockets that systemd\n"
	    "          passes are served too\n"
	    "-Z CA CERT KEY\n"
	    "          TLS with this certificate and key (PEM); clients need a certificate of CA. Without\n"
	    "          -Z the host reads and changes everything; plaintext over TCP is refused\n"
	    "-a        a plain path is an abstract socket, zero-padded as Phoenix has it\n"
	    "-B BYTES  of requests, replies and tables, besides the segments (256M, or what -s needs)\n"
	    "-b MICROS how long to poll for work before sleeping (0)\n"
	    "-c CLIENTS  sessions at a time (1024)\n"
	    "-d        daemonise, once everything is in place; the log is then that of -l, or none\n"
	    "-l LOGFILE  log there instead of standard error; SIGHUP opens it again\n"
	    "-m BYTES  of all segments together (1G)\n"
	    "          One peer (a certificate's name; without one a user or an address) gets at most 15/16\n"
	    "          of what -B, -c and -m allow\n"
	    "-n        accept clients without a certificate: any process that reaches the socket can be one\n"
	    "-p PIDFILE  write the process id there, and refuse to start twice\n");
	if (program->has_memdir)
		printf(
		    "-r MEMDIR the directory of the host's files (default: the current one); clients need\n"
		    "          to read and write there too\n");
	printf("-s BYTES  of one segment (256M, at most 2G)\n");
	if (program->has_lease)
		printf("-t MS     a holder that keeps a lock for longer loses it\n");
	printf(
	    "-v        verbose log: connections, segments, refused requests\n"
	    "--operators NAME,...\n"
	    "          clients with these certificates' names may ask what files and sessions there are\n"
	    "          (INSPECT), with -Z and without -n only\n"
	    "-h, --help  this; --version\n"
	    "\n"
	    "BYTES take K, M or G. SIGHUP reloads certificates and reopens the log; SIGTERM stops.\n"
	    "Certificates whose files have changed are loaded within ten seconds, without a signal.\n");
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
	print_usage(stderr, program);
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
	if (o->operators != NULL && o->ca_file == NULL)
		return usage_error(program, "--operators needs -Z");
	if (o->operators != NULL && o->anonymous)
		return usage_error(program, "--operators and -n exclude each other");
	return OPTIONS_RUN;
}

static enum options_result
parse_addresses(struct options *o, const struct options_program *program, int flags, char **argv)
{
	int error;

	for (; *argv != NULL; argv++) {
		if (o->address_count == OPTIONS_ADDRESS_MOST)
			return usage_error(program, "more than %d addresses", OPTIONS_ADDRESS_MOST);
		error = addr_parse(&o->addresses[o->address_count], *argv, flags);
		if (error == -ENAMETOOLONG)
			return usage_error(program, "%s: too long for a socket's address", *argv);
		if (error != 0)
			return usage_error(program, "%s: not an address; see --help", *argv);
		if (o->addresses[o->address_count].kind == ADDR_TCP && o->ca_file == NULL)
			return usage_error(program,
			    "%s: plaintext over TCP is refused: give -Z CA CERT KEY, or use a unix socket",
			    *argv);
		o->address_count++;
	}
	return OPTIONS_RUN;
}

enum options_result
options_parse(struct options *o, const struct options_program *program, int argc, char **argv)
{
	char letters[32];
	int option, flags = 0;

	snprintf(letters, sizeof letters, "+aB:b:c:dhl:m:np:s:vZ:%s%s",
	    program->has_lease ? "t:" : "", program->has_memdir ? "r:" : "");
	*o = (struct options){ .config = server_config_default(), .memdir = "." };
	o->config.memory_limit = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		switch (option) {
		case 'a':
			flags |= ADDR_ABSTRACT;
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
		case 'Z':
			if (optind + 2 > argc)
				return usage_error(program, "-Z takes three files: CA CERT KEY");
			o->ca_file = optarg;
			o->cert_file = argv[optind++];
			o->key_file = argv[optind++];
			break;
		case OPTION_OPERATORS:
			if (set_operators(o, program) != OPTIONS_RUN)
				return OPTIONS_WRONG;
			break;
		case OPTION_VERSION:
			printf("%s %s\n", program->name, MEMSERVER_VERSION);
			return OPTIONS_EXIT;
		case '?':
			print_usage(stderr, program);
			return OPTIONS_WRONG;
		default:
			if (!set_number(o, program, option))
				return OPTIONS_WRONG;
		}
	}
	if (check_together(o, program) != OPTIONS_RUN || check_memory(o, program) != OPTIONS_RUN)
		return OPTIONS_WRONG;
	return parse_addresses(o, program, flags, argv + optind);
}
