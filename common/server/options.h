/*
 * options: the command line of both daemons, and the configuration file that it names;
 * optiontable.h lists the options. Options may stand behind addresses. Without an address there
 * must be sockets that systemd passes.
 *
 * An option of the command line wins over the file's, and any address there over all of the file's.
 * Sizes and numbers are checked against their limits here, and plaintext over TCP is refused here.
 * Paths are opened later, so that their errors reach the log.
 */
#ifndef COMMON_SERVER_OPTIONS_H
#define COMMON_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/server/core/server_config.h"
#include "common/wire/addr.h"

enum { OPTIONS_ADDRESS_MOST = 16, OPTIONS_TEXTS_MOST = 128 };

/* The differences between the command lines of the daemons. */
struct options_program {
	const char *name; /* "smdishserver" */
	bool has_lease;   /* -t */
	bool has_memdir;  /* -r */
};

struct options {
	struct server_config config; /* memory_limit: -B, or what the other limits need */
	bool daemonise;              /* -d */
	bool verbose;                /* -v */
	bool anonymous;              /* -n */
	bool is_abstract;            /* -a */
	uint32_t spin_us;            /* -b */
	const char *config_file;     /* -f */
	const char *socket_group;    /* -g; NULL: not given */
	mode_t socket_mode;          /* -M */
	const char *log_file;        /* -l */
	const char *pid_file;        /* -p */
	const char *memdir;          /* -r; NULL: not given */
	const char *ca_file;         /* -Z; all three or none */
	const char *cert_file;
	const char *key_file;
	const char *crl_file;  /* -C; NULL: none */
	const char *operators; /* --operators, see operators.h; NULL: none */
	struct addr addresses[OPTIONS_ADDRESS_MOST];
	int address_count;
	char *texts[OPTIONS_TEXTS_MOST]; /* of the configuration file */
	size_t text_count;
};

/* Addresses as they were given, in their order. */
struct options_words {
	const char *list[OPTIONS_ADDRESS_MOST];
	int count;
	const char *base; /* where relative paths begin, with a slash, or "" */
};

enum options_result { OPTIONS_RUN, OPTIONS_EXIT, OPTIONS_WRONG };

/*
 * Reads argv and the configuration file into *o, whose strings point into argv or are its own.
 * OPTIONS_EXIT: --help or --version, printed on standard output. OPTIONS_WRONG: the error was
 * printed on standard error. *o needs options_fini() in any case.
 */
enum options_result options_parse(struct options *o, const struct options_program *program,
    int argc, char **argv);

/* Frees the strings of the configuration file. Also for options that are all zeros. */
void options_fini(struct options *o);

#endif
