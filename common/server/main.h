/*
 * main: the life of a daemon, the same for both: only the store differs.
 */
#ifndef COMMON_SERVER_MAIN_H
#define COMMON_SERVER_MAIN_H

struct options_program;
struct store_ops;

/*
 * Runs until SIGTERM or SIGINT. Returns the exit status: 0, 1 when it could not start, 2 for usage.
 */
int main_run(const struct options_program *program, const struct store_ops *store, int argc,
    char **argv);

#endif
