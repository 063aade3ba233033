/*
 * script: the tests of the protocol as they are written down, and what runs them.
 *
 * A file is lines; `#` begins a comment; `;` stands between statements. What comes before the
 * first `test` is done at the beginning of every test. Statements:
 *
 *	test "NAME"		begins a test; its name says the row or the sentence of the design it proves
 *	server lease=50ms segment=64K total=1M clients=2
 *				options of the server, before the first connection
 *	only core | only daemon	this test runs against one kind of peer only
 *	store smuf | store any	runs against smuf, or against both, and not against smdish only; before the
 *				first test: all tests do that do not say otherwise (store smdish)
 *	let NAME(X, Y) ...	NAME(a, b) stands for the rest of the line, with a for X and b for Y;
 *				a line of its own, and known to all tests that follow
 *	for $i 0..9 : ...	does the rest of the line for each number
 *	check EXPR == EXPR	also != < <= > >=; numbers, see text.h; == and != of two variables with bytes
 *	forget $g		the variable has no value any more, and takes the next one
 *	time +50ms		so much time passes (core only)
 *	idle 500ms		the same, and against a daemon it really passes, with nothing to do
 *	memory < 1M		the server has less than that allocated, segments apart (core only)
 *
 *	host "m" size 4096	smuf's directory on the host has a file of that name and size
 *	host "m" is gone	it has none
 *	host "m" 4 == 7		the u32 at offset 4 of it, in host byte order; also != < <= > >=
 *	host "m" soon 4 == 7	the same, and it may take a while, up to 5 s; so does a size, and to be gone
 *	host "m" 4 := 7		writes it
 *	host "m" appears	makes an empty file of that name, which was not there
 *	host "m" goes		removes it
 *
 *	a connects		not needed: the first request does it
 *	a> REQUEST		see request.h
 *	a< REPLY		the next reply is this; see reply.h
 *	a< soon REPLY		the same, and it may take a while: up to 5 s
 *	a< among [7] REPLY	the same, but other replies may come before it (version 2)
 *	a< raw 00000000...	the next bytes are these
 *	a< nothing		no reply is there
 *	a< end			the server has closed the connection, and said nothing more
 *	a closes		closes the connection; a request opens another one
 *	a reads no more		the server's writes to it fail
 *	a pauses, a resumes	replies stay unread meanwhile
 *	a is turned away	it cannot connect, or the server closes the connection without a word
 *	a is held back		the server does not want to read from it (core only)
 *
 * A test with `time`, `memory` or `is held back` runs against the core only. At the end of a
 * test connections that are open are closed, after a look that nothing unexpected has come.
 */
#ifndef TESTS_PROTOCOL_SCRIPT_H
#define TESTS_PROTOCOL_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/protocol/peer.h"

enum { SCRIPT_FAILURE_SIZE = 4096 };

struct script;

/*
 * Reads a file. Returns 0, -EINVAL when a line comes out of a test's shape, or another negative
 * errno.
 */
int script_load(struct script **out, const char *path);

/* Takes NULL. */
void script_free(struct script *s);

size_t script_test_count(const struct script *s);
const char *script_test_name(const struct script *s, size_t test);

/* True when the test can be run against that peer. */
bool script_suits(const struct script *s, size_t test, const struct peer *peer);

/* Runs it. Returns false with a failure to be printed: file:line, what was expected, what came. */
bool script_run(const struct script *s, size_t test, const struct peer *peer,
    char failure[SCRIPT_FAILURE_SIZE]);

#endif
