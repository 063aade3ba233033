/*
 * faults: makes chosen calls of a daemon fail, counts its calls, and moves its clock.
 *
 * The programs of this folder are linked with --wrap for each call of the table in faults.c, and
 * for clock_now(): the calls of the project's objects come here first, those of the libraries do
 * not. In a process that has not called faults_enter() they are passed on. In one that has, each
 * call is counted while is_armed is set, and the calls that the plan names fail without being
 * executed, or do a part of their work (FAULTS_SHORT).
 *
 * The plan is in memory that the test shares with the daemon, so that the test arms, plans and
 * reads the counts while the daemon runs.
 */
#ifndef TESTS_FAULTS_FAULTS_H
#define TESTS_FAULTS_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>

enum faults_call {
	FAULTS_MEMORY, /* malloc, calloc, realloc, reallocarray, strdup */
	FAULTS_MMAP,
	FAULTS_MPROTECT,
	FAULTS_FTRUNCATE,
	FAULTS_PWRITE,
	FAULTS_PREAD,
	FAULTS_OPENAT,
	FAULTS_WRITE, /* the log */
	FAULTS_SEND,
	FAULTS_RECV,
	FAULTS_ACCEPT,
	FAULTS_EPOLL_ADD,
	FAULTS_EPOLL_WAIT,
	FAULTS_RANDOM,
	FAULTS_CALLS
};

/* Instead of an errno: the call does a part of its work. */
enum { FAULTS_SHORT = -1 };

/* A way in which calls of a kind fail. */
struct faults_kind {
	const char *name;
	enum faults_call call;
	int error;     /* errno, or FAULTS_SHORT */
	bool may_end;  /* one such failure may end one connection */
	bool may_last; /* all further calls may fail, too: a resource that is used up */
};

extern const struct faults_kind faults_kinds[];
extern const unsigned faults_kind_count;

/* Shared with the daemon. */
struct faults {
	atomic_bool is_armed;
	atomic_uint counts[FAULTS_CALLS]; /* of the calls since it was armed */
	atomic_int call;                  /* the plan: which calls fail, -1: none */
	atomic_uint first, length;        /* from which on, counted from 1, and how many */
	atomic_int error;
	atomic_uint struck; /* calls that failed */
	atomic_uint waits;  /* how often it has called epoll_wait */
	atomic_ullong clock_offset;
};

/* Makes the shared memory, which stays until the program ends. Returns 0 or a negative errno. */
int faults_create(struct faults **out);

/* Disarms, and forgets plan, counts and clock. */
void faults_reset(struct faults *f);

/* Plans that length calls of a kind fail, from number first on. */
void faults_plan(struct faults *f, const struct faults_kind *kind, unsigned first, unsigned length);

/* In the daemon's process, before it begins: its calls count from now on. */
void faults_enter(struct faults *f);

/*
 * In the daemon's process, at its end: how many blocks of memory and how many mappings it has
 * allocated since faults_enter() and not freed.
 */
long faults_blocks_left(void);
long faults_mappings_left(void);

#endif
