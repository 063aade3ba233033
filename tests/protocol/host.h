/*
 * host: statements of a script about smuf's files on the host; see script.h, `host "m" ...`.
 */
#ifndef TESTS_PROTOCOL_HOST_H
#define TESTS_PROTOCOL_HOST_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/protocol/text.h"

enum { HOST_REASON_SIZE = 512 };

enum host_verb { HOST_SIZE, HOST_IS_GONE, HOST_APPEARS, HOST_GOES, HOST_COMPARE, HOST_WRITE };

struct host_statement {
	char name[NAME_MAX + 1];
	enum host_verb verb;
	bool is_soon;    /* it may take up to 5 s to become so */
	uint64_t offset; /* HOST_COMPARE, HOST_WRITE: of the u32 */
	char sign[TEXT_SIGN_SIZE];
	uint64_t value; /* or the size */
};

/* Parses a statement from behind `host`. On false the text has an error. */
bool host_parse(struct host_statement *h, struct text *t);

/* Executes the statement in that directory. Returns false with a reason. */
bool host_do(const struct host_statement *h, const char *directory, char reason[HOST_REASON_SIZE]);

#endif
