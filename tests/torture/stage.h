/*
 * stage: where a round takes place: a server with its directory, or a directory for smc; on a
 * small disk of its own where the round wants to fill it.
 *
 * The functions fail as those of daemon.h do, by ending the process, except stage_mount() and
 * stage_path(), which players call.
 */
#ifndef TESTS_TORTURE_STAGE_H
#define TESTS_TORTURE_STAGE_H

#include <stdbool.h>

#include "tests/stress/daemon.h"
#include "tests/stress/smc.h"
#include "tests/torture/round.h"

struct sm;

enum { STAGE_PATH_SIZE = 32, STAGE_FILE_SIZE = SMC_PATH_SIZE + 64 };

struct stage {
	const struct round *round;
	struct daemon daemon;   /* smdish, smuf */
	struct smc_world world; /* smc */
	bool has_disk;
	char lease[12]; /* the option of the server */
};

/* Begins. can_mount: this process may mount a file system, and no other process sees it. */
void stage_open(struct stage *s, const struct round *r, const struct pki *pki, bool can_mount);

/*
 * Ends, after all players: a server exits with 0. Returns false, with a sentence, when files are
 * left behind that should have gone.
 */
bool stage_close(struct stage *s, char text[STAGE_FILE_SIZE]);

/* Writes the end of the server's log to standard error. */
void stage_show_log(const struct stage *s);

/* A set with the round's mount, or NULL with errno. */
struct sm *stage_mount(const struct stage *s);

/* The path of the memory file for sm_open(). */
void stage_path(unsigned file, unsigned generation, char path[STAGE_PATH_SIZE]);

/* The host's directory of the memory files; "" for smdish. */
const char *stage_directory(const struct stage *s);

/* Takes all room of the disk; gives it back. */
void stage_fill(const struct stage *s);
void stage_empty(const struct stage *s);

#endif
