#include "smuf/storefile.h"

#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "common/host/filename.h"
#include "common/server/core/account.h"
#include "smuf/layout.h"
#include "smuf/memdir.h"

/* The file's name on the host. */
static const char *
host_name(const struct storefile *s)
{
	return s->name + 1;
}

static void
report_loss(struct storefile *s)
{
	char name[LOG_ESCAPED_SIZE];

	if (s->is_loss_reported)
		return;
	s->is_loss_reported = true;
	account_warn(s->file->account, *s->file->tree->now,
	    "the host's lock file of %s is gone or is another file: %s",
	    log_escape(name, s->name, strlen(s->name)),
	    s->file->version == PROTOCOL_VERSION_1 ?
		"clients that wait for the lock will not get it" :
		"it is only a copy, and the lock still works");
}

static void
log_refused(const struct storefile *s, const char *suffix, int error)
{
	struct memdir *dir = s->all->dir;
	char name[LOG_ESCAPED_SIZE];

	if (!memdir_may_log(dir, *s->file->tree->now))
		return;
	log_warning("cannot create %s%s%s: %s", memdir_path(dir),
	    log_escape(name, s->name, strlen(s->name)), suffix,
	    error == -EEXIST ? "a foreign file has this name: move it away" : strerror(-error));
}

int
storefile_create_lock(struct storefile *s)
{
	int error = memdir_create_lock(s->all->dir, host_name(s), s->file->life, &s->lock_id);

	if (error != 0)
		log_refused(s, "", error);
	return error;
}

int
storefile_create_segment(struct storefile *s, uint64_t size)
{
	int error = memdir_create_segment(s->all->dir, host_name(s), s->file->life, size,
	    &s->segment_id);

	s->has_segment = error == 0;
	/* The lock file, which has to announce the segment file, is not ours any more. */
	if (error == -ESTALE)
		report_loss(s);
	else if (error != 0)
		log_refused(s, FILENAME_SUFFIX, error);
	return error == -ESTALE ? -EIO : error;
}

static void
report_foreign(struct storefile *s, const char *suffix)
{
	char name[LOG_ESCAPED_SIZE];

	if (s->is_foreign_reported)
		return;
	s->is_foreign_reported = true;
	account_warn(s->charge.account, *s->charge.tree->now,
	    "%s%s%s is not the file that the server created: it stays", memdir_path(s->all->dir),
	    log_escape(name, s->name, strlen(s->name)), suffix);
}

int
storefile_remove_some(struct storefile *s)
{
	int error = 0;

	if (s->has_segment)
		error = memdir_remove_segment(s->all->dir, host_name(s), &s->segment_id,
		    &s->cleared);
	if (error == -EINPROGRESS)
		return error;
	s->has_segment = false;
	if (error == -EEXIST)
		report_foreign(s, FILENAME_SUFFIX);
	if (memdir_remove_lock(s->all->dir, host_name(s), &s->lock_id) == -EEXIST)
		report_foreign(s, "");
	return 0;
}

/* Reports the loss if error says that. Returns error. */
static int
examine(struct storefile *s, int error)
{
	if (error == -ESTALE)
		report_loss(s);
	return error;
}

int
storefile_read_lock(struct storefile *s, uint32_t *ticket, uint32_t *turn)
{
	return examine(s, memdir_read_lock(s->all->dir, host_name(s), s->file->life, ticket, turn));
}

int
storefile_write_lock(struct storefile *s, uint32_t ticket, uint32_t turn)
{
	return examine(s,
	    memdir_write_lock(s->all->dir, host_name(s), s->file->life, ticket, turn));
}

int
storefile_write_turn(struct storefile *s, uint32_t turn)
{
	return examine(s, memdir_write_turn(s->all->dir, host_name(s), s->file->life, turn));
}
