/*
 * reply: compares a reply of the server with the one that a script expects.
 *
 *	[7] 0 grant=$g version=0 delta{0:"bytes" 4096:"bytes"*2}
 *
 * First the tag (0 when it is left out), then the status by its name, then the fields of the body,
 * each by its name in PROTOCOL 4.1 and PROTOCOL 5:
 *
 *	FORK ident   OPEN fd   OPEN2 fd   LOCK type size "bytes" (smuf: type iv key tag)
 *	HELLO version features block largest instance
 *	ACQUIRE grant version delta{}   RELEASE version
 *	STAT life size committed type version open waiters grants, of the holder: mode pid
 *	INSPECT next count, and the records:
 *		server{version uptime sessions handshakes files segments memory segments_limit
 *		    memory_limit requests grants lost longest recent}
 *		file{"name" key, the fields of STAT, holder held bytes_granted bytes_released
 *		    waited}, files in any order
 *		reload{failed lists revoked valid ending reason}
 *		session{key age version descriptors held waiting requests in out memory unsent
 *		    longest peer address}, sessions in their order
 *
 * The delta of smuf is delta{key="..." 0/1@7:"tag"}: the key, which may be left out, and block 0 in
 * slot 1, published by grant 7, with its tag.
 *
 * A script has to name every field of the body, unless `...` stands at the end. A variable without
 * a value takes the field's; one with a value must be equal to it; $_ is equal to everything.
 */
#ifndef TESTS_PROTOCOL_REPLY_H
#define TESTS_PROTOCOL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/protocol/text.h"

struct reply {
	uint16_t tag;
	uint32_t status;
	uint32_t op;  /* that it answers; none when it is not known */
	bool is_smuf; /* the store that answers; false: smdish */
	uint8_t what; /* INSPECT: what it is about */
	const uint8_t *body;
	size_t size;
};

enum { REPLY_TEXT_SIZE = 1024 };

/* Compares r with the text up to its end. On false the text's error says what differs. */
bool reply_check(struct text *t, const struct reply *r);

/* Writes the reply in the words of a script, long values abbreviated. Returns out. */
const char *reply_describe(const struct reply *r, char out[REPLY_TEXT_SIZE]);

/* Returns the version of a HELLO's reply; 0 when r is no such reply. */
uint32_t reply_hello_version(const struct reply *r);

#endif
