#include "smuf/storefile.h"

#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "common/host/filename.h"
#include "smuf/layout.h"
#include "smuf/memdir.h"

/* The file's name on the host. */
static const char *
host_name(const struct storefile *s)
{
	return s->file->name + 1;
}

static void
report_loss(struct storefile *s)
{
	char name[LOG_ESCAPED_SIZE];

	if (s->is_loss_reported)
		return;
	s->is_loss_reported = true;
	log_warning("the host's lock file of %s is gone or is another file: %s",
	    log_escape(name, s->file->name, s->file->name_size),
	    s->file->version == PROTOCOL_VERSION_1 ?
		"clients that wait for the lock will not get it" :
		"it is only a copy, and the lock still works");
}

static void
log_refused(const struct storefile *s, const char *suffix, int error)
{
	const struct memfile *f = s->file;
	char name[LOG_ESCAPED_SIZE];

	if (!memdir_may_log(s->dir, *f->tree->now))
		return;
	log_warning("cannot create %s%s%s: %s", memdir_path(s->dir),
	    log_escape(name, f->name, f->name_size), suffix,
	    error == -EEXIST ? "a foreign file has this name: move it away" : strerror(-error));
}

int
storefile_create_lock(const struct storefile *s)
{
	int error = memdir_create_lock(s->dir, host_name(s), s->file->life);

	if (error != 0)
		log_refused(s, "", error);
	return error;
}

int
storefile_create_segment(struct storefile *s, uint64_t size)
{
	int error = memdir_create_segment(s->dir, host_name(s), s->file->life, size);

	/* The lock file, which has to announce the segment file, is not ours any more. */
	if (error == -EIO)
		report_loss(s);
	else if (error != 0)
		log_refused(s, FILENAME_SUFFIX, error);
	return error;
}

void
storefile_remove(const struct storefile *s)
{
	memdir_remove(s->dir, host_name(s), s->file->size > 0);
}

int
storefile_read_lock(struct storefile *s, uint32_t *ticket, uint32_t *turn)
{
	int error = memdir_read_lock(s->dir, host_name(s), s->file->life, ticket, turn);

	if (error != 0)
		report_loss(s);
	return error;
}

void
storefile_write_lock(struct storefile *s, uint32_t ticket, uint32_t turn)
{
	if (memdir_write_lock(s->dir, host_name(s), s->file->life, ticket, turn) != 0)
		report_loss(s);
}

void
storefile_write_turn(struct storefile *s, uint32_t turn)
{
	if (memdir_write_turn(s->dir, host_name(s), s->file->life, turn) != 0)
		report_loss(s);
}
