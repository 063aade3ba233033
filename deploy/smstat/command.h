/*
 * command: the command line of smstat; smstat(1) describes it.
 */
#ifndef DEPLOY_SMSTAT_COMMAND_H
#define DEPLOY_SMSTAT_COMMAND_H

#include <stdbool.h>

#include "common/wire/addr.h"
#include "deploy/smstat/servers.h"

enum command_format { COMMAND_TABLE, COMMAND_JSON, COMMAND_METRICS };

/* Strings point into the arguments. */
struct command {
	enum command_format format; /* -j, -m */
	bool is_watching;           /* -w */
	bool is_reload;             /* -r */
	unsigned interval;          /* -i, seconds; 0: one look is enough */
	bool is_address;            /* place is the address of a server, not a mount file */
	const char *place;
	struct addr address;      /* of place, if that is one */
	const char *point;        /* of a mount of the mount file; NULL: all mounts */
	struct servers_keys keys; /* -Z, -N */
};

enum command_result { COMMAND_RUN, COMMAND_EXIT, COMMAND_WRONG };

/*
 * Reads the arguments into *c. COMMAND_EXIT: --help or --version, printed on standard output.
 * COMMAND_WRONG: the error was printed on standard error.
 */
enum command_result command_parse(struct command *c, int argc, char **argv);

#endif
