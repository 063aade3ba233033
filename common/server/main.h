/*
 * main: the life of a daemon: start, serve, stop. Both daemons have the same; only the store
 * differs.
 *
 * The modules of this folder, each of which calls only those below it:
 *
 *	main
 *	reload		certificates, revocation lists and log, once more
 *	watchdog	tells systemd that the loop turns
 *	listener	the sockets that the daemon listens on
 *	connection	a client's socket, and its session in the core
 *	signals, credentials, crlfile, background, process, options
 *	optionfile
 *	loop, notify, optionset
 *	optiontable
 */
#ifndef COMMON_SERVER_MAIN_H
#define COMMON_SERVER_MAIN_H

struct options_program;
struct store_ops;

/*
 * Runs until SIGTERM or SIGINT. Returns the exit status: 0; 1 when the daemon could not start; 2
 * for a wrong command line or configuration file.
 */
int main_run(const struct options_program *program, const struct store_ops *store, int argc,
    char **argv);

#endif
