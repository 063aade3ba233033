/*
 * fields: the body of a reply, parsed into the fields of PROTOCOL 4.1 and PROTOCOL 5.
 */
#ifndef TESTS_PROTOCOL_FIELDS_H
#define TESTS_PROTOCOL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/wire.h"

struct reply;

enum { FIELDS_MOST = 20 };

enum field_kind { FIELD_NUMBER, FIELD_BYTES, FIELD_DELTA, FIELD_SEALED_DELTA };

struct field {
	const char *name;
	enum field_kind kind;
	uint64_t number;
	const uint8_t *bytes;
	size_t size;
	bool seen; /* for callers that check them one by one */
};

struct fields {
	struct field list[FIELDS_MOST];
	size_t count;
	/* bytes after the last field; the records of INSPECT; failed: the body is too short */
	struct wire_reader rest;
};

/* A block of smuf's delta. */
struct fields_sealed {
	uint32_t block;
	uint64_t version;
	uint8_t slot;
	const uint8_t *tag;
};

enum { FIELDS_KEY_SIZE = 32, FIELDS_TAG_SIZE = 16 };

/*
 * Parses the begin of smuf's delta. Returns its key, or NULL when it is too short; *left is how
 * many blocks follow.
 */
const uint8_t *fields_sealed_begin(struct wire_reader *delta, uint32_t *left);

/* Parses the next block. False after the last one, and when they are malformed: delta->failed. */
bool fields_sealed_next(struct wire_reader *delta, uint32_t *left, struct fields_sealed *out);

/* Parses the body of a reply by its operation. An error has no fields. */
void fields_get(const struct reply *r, struct fields *f);

/*
 * Parses the next record of an INSPECT of what, from the bytes that fields_get() left in records.
 * Returns false after the last one, and when they are malformed: records->failed.
 */
bool fields_next_record(struct wire_reader *records, uint8_t what, struct fields *f);

/* Returns the field of that name, or NULL. */
struct field *fields_find(struct fields *f, const char *name);

#endif
