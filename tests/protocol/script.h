/*
 * script: the tests of the protocol in files, and the code that runs them.
 *
 * A file is lines; `#` begins a comment; `;` separates statements. The lines before the first
 * `test` are executed at the begin of every test. Statements:
 *
 *	test "NAME"		begins a test; its name is the row or the sentence that it proves
 *	server lease=50ms segment=64K total=1M memory=1M clients=2
 *				options of the server, before the first connection
 *	only core | only daemon	this test runs against one kind of peer only
 *	store smuf | store any	runs against smuf, or against both, instead of smdish only; before
 *				the first test: the default of all tests (else store smdish)
 *	let NAME(X, Y) ...	NAME(a, b) stands for the rest of the line, with a for X and b for
 *				Y; a line of its own, known to all later tests
 *	for $i 0..9 : ...	executes the rest of the line for each number
 *	check EXPR == EXPR	also != < <= > >=; numbers, see text.h; == and != of two variables
 *				with bytes
 *	forget $g		the variable has no value any more, and takes the next one
 *	time +50ms		advances the time (core only)
 *	idle 500ms		the same; with a daemon the time really passes, without requests
 *	memory < 1M		the server has less than that allocated, without segments (core)
 *
 *	host "m" size 4096	smuf's directory on the host has a file of that name and size
 *	host "m" is gone	it has none
 *	host "m" 4 == 7		the u32 at offset 4 of it, in host byte order; also != < <= > >=
 *	host "m" soon 4 == 7	the same, within 5 s; also with a size and with `is gone`
 *	host "m" 4 := 7		writes it
 *	host "m" appears	makes an empty file of that name, which did not exist
 *	host "m" goes		removes it
 *
 *	a connects		not needed: the first request does it
 *	a> REQUEST		see request.h
 *	a< REPLY		the next reply is this; see reply.h
 *	a< soon REPLY		the same, within 5 s
 *	a< among [7] REPLY	the same, but other replies may come before it (version 2)
 *	a< raw 00000000...	the next bytes are these
 *	a< nothing		there is no reply
 *	a< end			the server has closed the connection, and sent nothing more
 *	a closes		closes the connection; a request opens another one
 *	a reads no more		the server's writes to it fail
 *	a pauses, a resumes	replies stay unread meanwhile
 *	a is turned away	it cannot connect, or the server closes the connection at once
 *	a is held back		the server does not want to read from it (core only)
 *	a is an operator	from now on (core only)
 *
 * A test with `time`, `memory`, `is held back` or `is an operator` runs against the core only. The
 * end of a test checks that no unexpected bytes have come, and closes the open connections.
 */
#ifndef TESTS_PROTOCOL_SCRIPT_H
#define TESTS_PROTOCOL_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/protocol/peer.h"

enum { SCRIPT_FAILURE_SIZE = 4096 };

struct script;

/* Reads a file. Returns 0, -EINVAL for a line at a wrong place, or another negative errno. */
int script_load(struct script **out, const char *path);

/* Takes NULL. */
void script_free(struct script *s);

size_t script_test_count(const struct script *s);
const char *script_test_name(const struct script *s, size_t test);

/* True when the test can be run against that peer. */
bool script_suits(const struct script *s, size_t test, const struct peer *peer);

/*
 * Runs a test. Returns false with a failure to print: file:line, the expected and the actual reply.
 */
bool script_run(const struct script *s, size_t test, const struct peer *peer,
    char failure[SCRIPT_FAILURE_SIZE]);

#endif
