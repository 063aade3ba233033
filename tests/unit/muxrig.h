/*
 * muxrig: the rig with more files, whose calls come from several threads; for the tests of one
 * connection that many threads use. A watchdog ends a test that hangs, and names it.
 */
#ifndef TESTS_UNIT_MUXRIG_H
#define TESTS_UNIT_MUXRIG_H

#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <time.h>

#include "common/wire/frame.h"
#include "tests/unit/rig.h"

enum {
	MUXRIG_FILES = 4,
	MUXRIG_FIRST_FD = 0x10, /* of the files 0 to 3; the rig's own is 7 */
	MUXRIG_DEADLINE_MS = 60,
	MUXRIG_LATE_MS = 50, /* that a timed call may take beyond its deadline */
	MUXRIG_GRANT_SIZE = FRAME_HEADER_SIZE + 16
};

#define MUXRIG_STAT_REPLY \
	"0000000000000001 0000000000003005 0000000000000000 01 0000000000000009 00000001 00000000 " \
	"0000000000000002"

extern struct sm_file *muxrig_files[MUXRIG_FILES];
extern sem_t muxrig_reached; /* posted by the script */
extern sem_t muxrig_go_on;   /* posted by the test */

/* For the test. */

/* READ_UNTIL_TOLD posts muxrig_reached when it reads, and waits for muxrig_go_on. */
enum muxrig_kind {
	CALL_LOCK,
	CALL_RDLOCK,
	CALL_READ,
	CALL_READ_UNTIL_TOLD,
	CALL_SECTION,
	CALL_TIMED_SECTION,
	CALL_MAP,
	CALL_CLOSE
};

/* A call from a thread of its own. */
struct muxrig_caller {
	enum muxrig_kind kind;
	struct sm_file *file;
	pthread_t thread;
	int result, error;
	uint64_t begun, took;
	uint64_t net; /* took, without what the thread waited for a processor */
};

/* Begins the rig with the files 0 to 3 open as well; options as for rig_begin_with(). */
void muxrig_begin_with(const char *options, rig_script *script);
void muxrig_begin(rig_script *script);

void muxrig_start(struct muxrig_caller *c, enum muxrig_kind kind, struct sm_file *file);
void muxrig_finish(struct muxrig_caller *c);

/* Starts that call on each file, in a thread of its own, and waits for all. */
void muxrig_call_on_all(struct muxrig_caller callers[MUXRIG_FILES], enum muxrig_kind kind);

/* Fails the test unless the call ended with that errno; 0: success. */
void muxrig_expect(const struct muxrig_caller *c, const char *call, int error);

/* Long enough for a request on its way, and shorter than the silence after which it pings. */
uint64_t muxrig_deadline_ms(void);

/* The deadline of a timed call that begins now. */
struct timespec muxrig_soon(void);

/* For the script. */

struct muxrig_request {
	uint32_t op, fd;
	uint16_t tag;
};

/* Serves all requests up to the open files. */
void muxrig_greet(void);

struct muxrig_request muxrig_take_request(void);

/* Takes an ACQUIRE of each file, in any order; or as many RELEASEs. */
void muxrig_take_acquires(struct muxrig_request requests[MUXRIG_FILES]);
void muxrig_take_releases(void);

/* The frame that grants a pure lock. */
void muxrig_grant_frame(uint8_t frame[MUXRIG_GRANT_SIZE], uint16_t tag, uint8_t grant);

/* Waits until a deadline of muxrig_soon() has passed. */
void muxrig_miss_deadline(void);

/* For cmocka. */

int muxrig_setup(void **state);
int muxrig_teardown(void **state);

#define MUXRIG_TEST(name) \
	{ \
#name, name, muxrig_setup, muxrig_teardown, (char *)#name \
	}

#endif
