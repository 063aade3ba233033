#include "common/server/optiontable.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "common/server/options.h"

enum { HELP_COLUMN = 8, USAGE_WIDTH = 95, PIECE_SIZE = 64 };

const struct optiontable_row optiontable[] = {
	{ 'a', "abstract", NULL, OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "a plain path is an abstract socket, zero-padded as Phoenix has it" },
	{ 'B', "memory-limit", "BYTES", OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "of requests, replies and tables, besides the segments (256M, or what -s needs)" },
	{ 'b', "poll", "MICROS", OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "how long to poll for work before sleeping (0)" },
	{ 'C', "crl", "CRL", OPTIONTABLE_PATH, OPTIONTABLE_BOTH,
	    "refuse the certificates that are on this revocation list of CA (PEM), and end\n"
	    "their sessions, with -Z only; everybody is refused once the list has expired" },
	{ 'c', "session-limit", "CLIENTS", OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "sessions at a time (1024)" },
	{ 'd', "daemon", NULL, OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "daemonise, once everything is in place; the log is then that of -l, or none" },
	{ 'f', "config", "FILE", OPTIONTABLE_COMMAND_LINE, OPTIONTABLE_BOTH,
	    "read options from it, a line each, by the names below: smserver.conf(5);\n"
	    "the command line wins" },
	{ 'g', "socket-group", "GROUP", OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "of unix sockets, a name or a number (the group of this process)" },
	{ 'h', "help", NULL, OPTIONTABLE_COMMAND_LINE, OPTIONTABLE_BOTH, "print this" },
	{ 'l', "log", "LOGFILE", OPTIONTABLE_PATH, OPTIONTABLE_BOTH,
	    "log there instead of standard error; SIGHUP or SIGUSR1 opens it again" },
	{ 'M', "socket-mode", "MODE", OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "of unix sockets, octal (660): users who may write there may connect" },
	{ 'm', "total-limit", "BYTES", OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "of all segments together (1G)\n"
	    "One peer (a certificate's name; without one a user or an address) gets at\n"
	    "most 15/16 of what -B, -c and -m allow" },
	{ 'n', "anonymous", NULL, OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "accept clients without a certificate: any process that reaches the socket can\n"
	    "be one" },
	{ 'p', "pid-file", "PIDFILE", OPTIONTABLE_PATH, OPTIONTABLE_BOTH,
	    "write the process id there, and refuse to start twice" },
	{ 'r', "memdir", "MEMDIR", OPTIONTABLE_PATH, OPTIONTABLE_HAS_MEMDIR,
	    "the directory of the host's files (default: the current one, if it is empty or\n"
	    "was the directory of a server before); clients need to read and write there too" },
	{ 's', "segment-limit", "BYTES", OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "of one segment (256M, at most 2G)" },
	{ 't', "lease", "MS", OPTIONTABLE_VALUE, OPTIONTABLE_HAS_LEASE,
	    "a holder that keeps a lock for longer loses it" },
	{ 'v', "verbose", NULL, OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "verbose log: connections, segments, refused requests" },
	{ 'Z', "tls", "CA CERT KEY", OPTIONTABLE_PATH, OPTIONTABLE_BOTH,
	    "TLS with this certificate and key (PEM); clients need a certificate of CA.\n"
	    "Without -Z the host reads and changes everything; plaintext over TCP is refused" },
	{ OPTIONTABLE_OPERATORS, "operators", "NAME,...", OPTIONTABLE_VALUE, OPTIONTABLE_BOTH,
	    "clients with these certificates' names may look at files and sessions, and make\n"
	    "the server load its certificates again (INSPECT); with -Z and without -n only" },
	{ OPTIONTABLE_VERSION, "version", NULL, OPTIONTABLE_COMMAND_LINE, OPTIONTABLE_BOTH,
	    "print the version" },
};

const size_t optiontable_count = sizeof optiontable / sizeof optiontable[0];

static bool
is_of(const struct optiontable_row *row, const struct options_program *program)
{
	return row->program == OPTIONTABLE_BOTH ||
	    (row->program == OPTIONTABLE_HAS_LEASE && program->has_lease) ||
	    (row->program == OPTIONTABLE_HAS_MEMDIR && program->has_memdir);
}

static bool
has_letter(const struct optiontable_row *row)
{
	return row->value < 256;
}

const struct optiontable_row *
optiontable_find(int value)
{
	size_t i;

	for (i = 0; i < optiontable_count; i++)
		if (optiontable[i].value == value)
			return &optiontable[i];
	return NULL;
}

const struct optiontable_row *
optiontable_find_name(const struct options_program *program, const char *name)
{
	size_t i;

	for (i = 0; i < optiontable_count; i++)
		if (is_of(&optiontable[i], program) && strcmp(optiontable[i].name, name) == 0)
			return &optiontable[i];
	return NULL;
}

size_t
optiontable_argument_count(const struct optiontable_row *row)
{
	const char *next = row->argument;
	size_t count = next != NULL;

	while (next != NULL && (next = strchr(next, ' ')) != NULL) {
		next++;
		count++;
	}
	assert(count <= OPTIONTABLE_ARGUMENTS_MOST);
	return count;
}

void
optiontable_letters(const struct options_program *program, char out[OPTIONTABLE_LETTERS_SIZE])
{
	char *end = out;
	size_t i;

	assert(1 + 2 * optiontable_count < OPTIONTABLE_LETTERS_SIZE);
	*end++ = '-';
	for (i = 0; i < optiontable_count; i++) {
		if (!has_letter(&optiontable[i]) || !is_of(&optiontable[i], program))
			continue;
		*end++ = (char)optiontable[i].value;
		if (optiontable[i].argument != NULL)
			*end++ = ':';
	}
	*end = '\0';
}

void
optiontable_longs(const struct options_program *program, struct option out[OPTIONTABLE_LONGS])
{
	size_t i, count = 0;

	for (i = 0; i < optiontable_count; i++) {
		const struct optiontable_row *row = &optiontable[i];

		if (!is_of(row, program))
			continue;
		assert(count < OPTIONTABLE_LONGS - 1);
		out[count++] = (struct option){ row->name,
			row->argument == NULL ? no_argument : required_argument, NULL, row->value };
	}
	out[count] = (struct option){ 0 };
}

/* Prints a piece of the usage, in a new line if it does not fit. Returns the column behind it. */
static int
print_piece(FILE *to, int column, const char *piece)
{
	if (column + 1 + (int)strlen(piece) > USAGE_WIDTH)
		column = fprintf(to, "\n      ") - 1;
	return column + fprintf(to, " %s", piece);
}

void
optiontable_print_usage(const struct options_program *program, FILE *to)
{
	char piece[PIECE_SIZE] = "[-";
	int column = fprintf(to, "usage: %s", program->name);
	size_t i, n = strlen(piece);

	for (i = 0; i < optiontable_count; i++)
		if (has_letter(&optiontable[i]) && optiontable[i].argument == NULL &&
		    is_of(&optiontable[i], program))
			piece[n++] = (char)optiontable[i].value;
	snprintf(piece + n, sizeof piece - n, "]");
	column = print_piece(to, column, piece);
	for (i = 0; i < optiontable_count; i++) {
		const struct optiontable_row *row = &optiontable[i];

		if (row->argument == NULL || !is_of(row, program))
			continue;
		if (has_letter(row))
			snprintf(piece, sizeof piece, "[-%c %s]", row->value, row->argument);
		else
			snprintf(piece, sizeof piece, "[--%s %s]", row->name, row->argument);
		column = print_piece(to, column, piece);
	}
	print_piece(to, column, "ADDRESS ...");
	fputc('\n', to);
}

void
optiontable_print_help(const struct options_program *program)
{
	const struct optiontable_row *row;
	const char *line, *end;
	size_t i;

	for (i = 0; i < optiontable_count; i++) {
		row = &optiontable[i];
		if (!is_of(row, program))
			continue;
		if (has_letter(row))
			printf("-%c, ", row->value);
		printf("--%s%s%s\n", row->name, row->argument != NULL ? " " : "",
		    row->argument != NULL ? row->argument : "");
		for (line = row->help; *line != '\0'; line = end + (*end != '\0')) {
			end = line + strcspn(line, "\n");
			printf("%*s%.*s\n", HELP_COLUMN, "", (int)(end - line), line);
		}
	}
}
