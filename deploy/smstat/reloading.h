/*
 * reloading: asks a server to load its files again (PROTOCOL 5.6), and puts the answer into words.
 *
 * The server may answer anything: its text comes escaped, its numbers as they are.
 */
#ifndef DEPLOY_SMSTAT_RELOADING_H
#define DEPLOY_SMSTAT_RELOADING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mux;

/*
 * Asks, until that time. Writes a sentence of at most size bytes to told; *is_done: nothing failed.
 * Returns 0; -EINVAL for a server that does not know the request; -ENOSYS for one to which this
 * client is no operator; -EPROTO; or see mux_wait().
 */
int reloading_ask(struct mux *mux, uint64_t until, char *told, size_t size, bool *is_done);

#endif
