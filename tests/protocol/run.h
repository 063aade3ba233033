/*
 * run: one test of a script against one peer: executes the statements of script.h in their order.
 */
#ifndef TESTS_PROTOCOL_RUN_H
#define TESTS_PROTOCOL_RUN_H

#include <stdbool.h>

#include "tests/protocol/peer.h"

enum { RUN_REASON_SIZE = 3500 };

struct run;

/* Returns NULL when there is no memory. The server starts with the first connection. */
struct run *run_create(const struct peer *peer);

/* Executes the statements of a line. Returns false when one has failed; the run must end then. */
bool run_line(struct run *r, const char *line);

/*
 * Ends the test. If it went well so far, no reply may be unread and no file left in the server.
 * Returns true if all of that is so; else the reason, of the line that failed before or of the end.
 */
bool run_destroy(struct run *r, bool went_well, char reason[RUN_REASON_SIZE]);

#endif
