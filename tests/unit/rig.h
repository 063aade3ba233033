/*
 * rig: a client of the library and the scripted server that it talks to (PROTOCOL 5, DESIGN 7).
 *
 * The server is a thread that runs a script: the requests that must come, compared byte by byte,
 * and the replies, however awkward. Bodies are hexadecimal text with blanks. An unexpected request
 * is a surprise: the server disconnects, the rest of the script does nothing, and rig_end() fails
 * the test. The server also disconnects at the end of the script.
 *
 * There is one rig at a time. A test uses rig.sm, rig.file and rig.segment; the rest is for its
 * script.
 */
#ifndef TESTS_UNIT_RIG_H
#define TESTS_UNIT_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/protocol.h"

enum { RIG_BODY_MOST = 1024 * 1024, RIG_SEGMENT = 3 * 4096 + 5 /* 0x3005 */ };

#define RIG_INSTANCE "000102030405060708090a0b0c0d0e0f"
#define FOREVER "ffffffff"
#define U64_0 "0000000000000000"
#define NO_BLOCKS "00000000"

typedef void rig_script(void);

struct rig {
	struct sm *sm;
	struct sm_file *file; /* "/f" */
	uint8_t *segment;     /* of RIG_SEGMENT bytes */

	rig_script *script;
	pthread_t thread;
	bool is_over; /* the thread has ended */
	int listener, fd;
	bool has_tags;      /* set by rig_greet() */
	uint16_t tag;       /* of the last request */
	uint32_t body_size; /* of the last request */
	uint8_t body[RIG_BODY_MOST];
	char surprise[512];
};

extern struct rig rig;

/* For the test. */

/* Starts the server; uri becomes its address. */
void rig_listen(char uri[200], rig_script *script);

/* Starts the server and a client, mounts it with these options (NULL: none), and opens the file. */
void rig_begin_with(const char *options, rig_script *script);

/* The same, and maps the file. */
void rig_begin(rig_script *script);

/* Opens a second file, "/g". */
struct sm_file *rig_open_other(void);

/* Executes a critical section of rig.file that writes byte to the begin of its segment. */
void rig_publish(char byte);

/* Waits for the end of the script. */
void rig_wait(void);

/* Frees the client, waits for the script, and fails the test if there was a surprise. */
void rig_end(void);

/* For a teardown after a failed test: the same, but does not fail. Otherwise does nothing. */
void rig_abandon(void);

void rig_expect_ok(const char *call, int result);
void rig_expect_errno(const char *call, int result, int error);

/* Fails the test unless the call returns 0, or -1 and that errno. */
#define OK(call) rig_expect_ok(#call, call)
#define FAILS(call, error) rig_expect_errno(#call, call, error)

/* For the script. */

void rig_accept(void);

/* Accepts, replies to HELLO with these features, and serves NEW_FDTABLE. */
void rig_greet_with(const char *features);

/* Serves all requests up to the open and mapped file, descriptor 7. */
void rig_greet(void);

/* Takes the next request, which must be that one. */
void rig_take(enum protocol_op op, const char *hex);

/* Takes the next request, which must be that one, and replies 0 with that body. */
void rig_serve(enum protocol_op op, const char *hex, const char *reply);

/* Takes any request; rig has its body. Returns the operation, or OP_COUNT after a surprise. */
uint32_t rig_take_any(void);

/* Checks that the client has ended the connection. */
void rig_take_end(void);

/* Replies to the last request, or to the one with that tag. */
void rig_answer(uint32_t status, const char *hex);
void rig_answer_tag(uint16_t tag, uint32_t status, const char *hex);

/*
 * Takes an exclusive ACQUIRE without a timeout, with that since, and replies with that grant and
 * the rest.
 */
void rig_grant(const char *since, const char *grant, const char *rest);

void rig_write(const void *bytes, size_t size);
void rig_hang_up(void);
void rig_surprise(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Decodes "01ff 02" to bytes. Returns their number. */
size_t rig_unhex(uint8_t *out, const char *hex);

#endif
