#include "tests/stress/calls.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

enum {
	TIMED_MS = 200,
	LATE_MS = 50,
	BRIEF_MS = 1000,
	CONNECT_S = 10,
	SLACK_MS = 200, /* to begin and end a call that is not timed */
	LARGE = 8 * SIZE_MIB,
	MORE_MS = 1000, /* for less than a MiB, which the socket takes; for a second server */
	MANY = 32,
	PATH_SIZE = 32
};

static int
result_of(bool is_right)
{
	return is_right ? 0 : errno;
}

static int
call_new(struct caller *c)
{
	struct sm *sm = sm_new();
	int error = result_of(sm != NULL);

	(void)c;
	sm_free(sm);
	return error;
}

static int
call_load(struct caller *c)
{
	struct sm *sm = client_create_as(c->daemon, c->address, "client", c->options);
	int error = result_of(sm != NULL);

	sm_free(sm);
	return error;
}

static int
call_mount(struct caller *c)
{
	return result_of(sm_mount(c->client.sm, c->address, "/more", "smdish", NULL) == 0);
}

static int
call_open(struct caller *c)
{
	return result_of(sm_open(c->client.sm, CLIENT_MOUNT "/fresh") != NULL);
}

static int
call_open_flags(struct caller *c)
{
	const int flags = SM_OPEN_CREATE | SM_OPEN_OWNER;

	return result_of(sm_open_flags(c->client.sm, CLIENT_MOUNT "/fresh", flags) != NULL);
}

static int
call_map(struct caller *c)
{
	return result_of(sm_map(c->client.file, NULL, CALLS_SIZE) != NULL);
}

static int
call_unmap(struct caller *c)
{
	return result_of(sm_unmap(c->client.sm, c->client.segment) == 0);
}

static int
call_close(struct caller *c)
{
	return result_of(sm_close(c->client.file) == 0);
}

static int
call_lock(struct caller *c)
{
	return result_of(sm_lock(c->client.file) == 0);
}

static int
call_rdlock(struct caller *c)
{
	return result_of(sm_rdlock(c->client.file) == 0);
}

static int
call_acquire(struct caller *c)
{
	return result_of(sm_acquire(c->client.file, SM_WRITE | SM_INTERRUPTIBLE, NULL) == 0);
}

/* Beside the other handle, if no writer waits: the server is asked. */
static int
call_join(struct caller *c)
{
	struct timespec deadline = clock_timespec(clock_after_ms(clock_now(), TIMED_MS));
	int error = result_of(sm_acquire(c->client.file, SM_READ, &deadline) == 0);

	(void)sm_unlock(c->reader);
	return error;
}

static int
call_trylock(struct caller *c)
{
	return result_of(sm_trylock(c->client.file) == 0);
}

static int
call_timedlock(struct caller *c)
{
	return client_lock_for(&c->client, TIMED_MS);
}

static int
call_unlock(struct caller *c)
{
	return result_of(sm_unlock(c->client.file) == 0);
}

/* An upgrade is given up first. */
static int
call_unlock_unsettled(struct caller *c)
{
	if (client_lock_for(&c->client, 0) != ETIMEDOUT)
		return EINVAL;
	return result_of(sm_unlock(c->client.file) == 0);
}

static int
call_downgrade(struct caller *c)
{
	return result_of(sm_downgrade(c->client.file) == 0);
}

static int
call_dirty(struct caller *c)
{
	return result_of(sm_dirty(c->client.file, 0, 1) == 0);
}

/* The first one asks the server for the file's life. */
static int
call_grant(struct caller *c)
{
	uint64_t life, grant;

	return result_of(sm_grant(c->client.file, &life, &grant) == 0);
}

static int
call_stat(struct caller *c)
{
	struct sm_stat s;

	return result_of(sm_stat(c->client.file, &s) == 0);
}

static int
call_holder(struct caller *c)
{
	struct sm_holder holder;

	return result_of(sm_holder(c->client.file, &holder) == 0);
}

static int
call_error(struct caller *c)
{
	return sm_error(c->client.sm) != NULL ? 0 : EINVAL;
}

static int
call_version(struct caller *c)
{
	(void)c;
	return sm_version() != NULL ? 0 : EINVAL;
}

static int
call_free(struct caller *c)
{
	client_close(&c->client);
	return 0;
}

static int
call_fork(struct caller *c)
{
	pid_t pid = fork();

	(void)c;
	if (pid == 0)
		_exit(EXIT_SUCCESS);
	return result_of(pid > 0 && waitpid(pid, NULL, 0) == pid);
}

#define BOUND(b, e) .bound = CALLS_##b, .error = e
#define LOCAL BOUND(AT_ONCE, 0)
#define TIMED BOUND(TIMED, ETIMEDOUT), .is_harmless = true
#define BRIEF(error) BOUND(BRIEF, error), .is_harmless = true
#define SILENT(error) BOUND(SILENCE, error)

const struct call calls_table[CALLS_COUNT] = {
	{ "sm_new", call_new, LOCAL },
	{ "sm_load", call_load, LOCAL },
	{ "sm_mount", call_mount, LOCAL },
	{ "sm_open, connecting", call_open, BOUND(CONNECT, ETIMEDOUT), .is_first = true },
	{ "sm_open", call_open, SILENT(ETIMEDOUT) },
	{ "sm_open_flags", call_open_flags, SILENT(ETIMEDOUT) },
	{ "sm_map", call_map, SILENT(ETIMEDOUT), .is_unmapped = true },
	{ "sm_lock", call_lock, SILENT(ECONNRESET) },
	{ "sm_lock, waiting", call_lock, SILENT(ECONNRESET), .is_waiting = true },
	{ "sm_rdlock", call_rdlock, SILENT(ECONNRESET) },
	{ "sm_acquire, interruptible", call_acquire, SILENT(ECONNRESET) },
	{ "sm_acquire, joining", call_join, TIMED, .is_drained = true },
	{ "sm_acquire, upgrade", call_acquire, SILENT(ECONNRESET), .is_read = true },
	{ "sm_trylock", call_trylock, BRIEF(ETIMEDOUT) },
	{ "sm_trylock, upgrade", call_trylock, BRIEF(ETIMEDOUT), .is_read = true },
	{ "sm_timedlock, 0.2 s", call_timedlock, TIMED },
	{ "sm_timedlock, upgrade", call_timedlock, TIMED, .is_read = true },
	{ "sm_unlock", call_unlock, LOCAL, .is_locked = true },
	{ "sm_unlock, 8 MiB", call_unlock, SILENT(ECONNRESET), .is_locked = true,
	    .is_one_way = true, .size = LARGE },
	{ "sm_unlock, leases", call_unlock, SILENT(ETIMEDOUT), .is_locked = true,
	    .has_leases = true },
	{ "sm_unlock, upgrade", call_unlock_unsettled, SILENT(ETIMEDOUT), .is_read = true },
	{ "sm_downgrade", call_downgrade, SILENT(ETIMEDOUT), .is_locked = true },
	{ "sm_dirty", call_dirty, LOCAL },
	{ "sm_grant", call_grant, SILENT(ETIMEDOUT), .is_locked = true },
	{ "sm_stat", call_stat, SILENT(ETIMEDOUT) },
	{ "sm_holder", call_holder, SILENT(ETIMEDOUT) },
	{ "sm_close", call_close, SILENT(ETIMEDOUT), .is_unmapped = true },
	{ "sm_close, locked", call_close, SILENT(ETIMEDOUT), .is_unmapped = true,
	    .is_locked = true },
	{ "sm_unmap", call_unmap, SILENT(ETIMEDOUT), .is_closed = true },
	{ "sm_free", call_free, SILENT(0) },
	{ "sm_free, 33 files", call_free, SILENT(0), .more = MANY },
	{ "sm_free, 2 servers", call_free, SILENT(0), .is_mounted_twice = true },
	{ "sm_error", call_error, LOCAL },
	{ "sm_version", call_version, LOCAL },
	{ "fork", call_fork, BRIEF(0) },
	{ "child: sm_lock", call_lock, SILENT(ECONNRESET), .is_forked = true },
	{ "child: sm_trylock", call_trylock, BRIEF(ETIMEDOUT), .is_forked = true },
	{ "child: sm_timedlock, 0.2 s", call_timedlock, TIMED, .is_forked = true },
	{ "child: sm_stat", call_stat, SILENT(ETIMEDOUT), .is_forked = true },
	{ "child: sm_free, 33 files", call_free, LOCAL, .is_forked = true, .more = MANY },
};

int
calls_error(const struct call *call, enum calls_trouble trouble)
{
	return trouble == CALLS_SLOW && call->is_one_way ? 0 : call->error;
}

uint64_t
calls_bound_ms(const struct call *call, unsigned silence)
{
	unsigned connect = silence < CONNECT_S ? silence : CONNECT_S;
	unsigned more = call->size == LARGE || call->is_mounted_twice ? MORE_MS : 0;

	switch (call->bound) {
	case CALLS_AT_ONCE:
		return SLACK_MS;
	case CALLS_TIMED:
		return TIMED_MS + LATE_MS;
	case CALLS_BRIEF:
		return BRIEF_MS + (call->run == call_fork ? SLACK_MS : 0);
	case CALLS_CONNECT:
		return 1000UL * connect + SLACK_MS;
	default:
		return 1000UL * silence + more + SLACK_MS;
	}
}

/* Opens n files that no other caller has open. */
static bool
open_more(struct caller *c, unsigned n)
{
	char path[PATH_SIZE];

	for (; n > 0; n--) {
		snprintf(path, sizeof path, CLIENT_MOUNT "/%ld.%u", (long)getpid(), n);
		if (sm_open(c->client.sm, path) == NULL)
			return false;
	}
	return true;
}

#define SECOND_MOUNT "/t"

/* The connections of two mounts are silent one after the other, as those of two servers. */
static bool
mount_again(struct caller *c)
{
	return sm_mount(c->client.sm, c->address, SECOND_MOUNT, "smdish", c->options) == 0 &&
	    sm_open(c->client.sm, SECOND_MOUNT "/file") != NULL;
}

static bool
open_files(struct caller *c)
{
	const struct call *call = c->call;
	char path[PATH_SIZE] = CALLS_WAITED;
	size_t size = call->size != 0 ? call->size : CALLS_SIZE;

	if (!call->is_waiting)
		snprintf(path, sizeof path, CLIENT_MOUNT "/%ld", (long)getpid());
	if (!client_open_file(&c->client, path, call->is_unmapped ? 0 : size))
		return false;
	snprintf(path, sizeof path, CLIENT_MOUNT "/%ld.other", (long)getpid());
	c->other = call->is_harmless ? sm_open(c->client.sm, path) : NULL;
	return c->other != NULL || !call->is_harmless;
}

/* Takes the lock, and changes all of the segment. */
static bool
lock_file(struct caller *c)
{
	const struct call *call = c->call;

	if (sm_lock(c->client.file) != 0)
		return false;
	if (!call->is_unmapped)
		memset(c->client.segment, 1, call->size != 0 ? call->size : CALLS_SIZE);
	return true;
}

/* Two further handles read; then one does. */
static bool
read_beside(struct caller *c)
{
	char path[PATH_SIZE];
	struct sm_file *third;

	snprintf(path, sizeof path, CLIENT_MOUNT "/%ld", (long)getpid());
	c->reader = sm_open_flags(c->client.sm, path, SM_OPEN_OWNER);
	third = sm_open_flags(c->client.sm, path, SM_OPEN_OWNER);
	return c->reader != NULL && third != NULL && sm_rdlock(c->reader) == 0 &&
	    sm_rdlock(third) == 0 && sm_unlock(third) == 0;
}

/* Goes on in a child, and passes its end on. */
static bool
go_on_in_child(void)
{
	pid_t pid = child_fork();
	int status;

	if (pid == 0 || pid == -1)
		return pid == 0;
	if (waitpid(pid, &status, 0) != pid)
		status = EXIT_FAILURE;
	_exit(status == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int
caller_begin(struct caller *c, const struct call *call, const struct daemon *d, const char *address,
    unsigned silence)
{
	bool is_right;

	*c = (struct caller){ .call = call, .daemon = d, .address = address };
	snprintf(c->options, sizeof c->options, "silence=%u,name=server", silence);
	c->client.sm = client_create_as(d, address, "client", c->options);
	is_right = c->client.sm != NULL && (call->is_first || open_files(c));
	if (is_right && call->is_locked)
		is_right = lock_file(c);
	if (is_right && call->is_drained)
		is_right = read_beside(c);
	if (is_right && call->is_read)
		is_right = sm_rdlock(c->client.file) == 0;
	if (is_right && call->is_closed)
		is_right = sm_close(c->client.file) == 0;
	if (is_right)
		is_right = open_more(c, call->more);
	if (is_right && call->is_mounted_twice)
		is_right = mount_again(c);
	if (is_right && call->is_forked)
		is_right = go_on_in_child();
	return result_of(is_right);
}

int
caller_check(struct caller *c)
{
	struct client other = { .file = c->other };
	int error;

	if (!c->call->is_harmless)
		return 0;
	error = client_lock_within(&c->client, PATIENCE_MS);
	return error != 0 ? error : client_lock_within(&other, PATIENCE_MS);
}

void
caller_end(struct caller *c)
{
	client_close(&c->client);
}
