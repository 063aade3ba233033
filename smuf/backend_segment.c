#include "smuf/backend_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/client/mount.h"
#include "common/host/filename.h"
#include "common/host/hostprobe.h"
#include "common/host/slotfile.h"
#include "common/remote/remotefile.h"
#include "smuf/layout.h"

void
backend_segment_init(struct backend_segment *s, const struct remotefile *owner)
{
	*s = (struct backend_segment){ .owner = owner, .file = HOSTFILE_CLOSED };
}

int
backend_segment_fail(const struct backend_segment *s, const char *what, int error)
{
	return error_message(-EIO, "%s%s" FILENAME_SUFFIX ": %s: %s",
	    s->owner->remote->mount->directory, s->owner->name, what,
	    error == -EIO ? "it is shorter than it was, or no file" : strerror(-error));
}

/* Mapped shared is not always shared; only where nothing but a mapping works it has to be. */
static int
check_shared(const struct backend_segment *s, int directory)
{
	const struct mount *m = s->owner->remote->mount;
	int error;

	if (!s->file.is_by_mapping)
		return 0;
	error = hostprobe_check_shared(directory, s->owner->name + 1, LAYOUT_PROBE_AT);
	if (error == -ENOTSUP)
		return error_message(error,
		    "%s: what is written there does not reach the host: the library OS has to mount it as untrusted_shm",
		    m->directory);
	return error == 0 ? 0 : backend_segment_fail(s, "cannot be shared", error);
}

void
backend_segment_close(struct backend_segment *s)
{
	hostwriter_fini(&s->writer);
	hostfile_close(&s->file);
}

int
backend_segment_open(struct backend_segment *s, uint32_t size)
{
	const struct mount *m = s->owner->remote->mount;
	char name[FILENAME_SEGMENT_SIZE];
	int directory = open(m->directory, O_PATH | O_DIRECTORY | O_CLOEXEC), error;

	s->size = size;
	if (directory < 0)
		return error_message(-EIO, "%s: %s (the directory that smufserver has as -r)",
		    m->directory, strerror(errno));
	filename_segment(name, s->owner->name + 1);
	error = hostfile_open(&s->file, directory, name, slotfile_slots_size(size));
	if (error != 0)
		error = backend_segment_fail(s,
		    "cannot be opened (is the server a smufserver, and that the directory of its -r?)",
		    error);
	else
		error = check_shared(s, directory);
	if (error == 0)
		error = hostwriter_init(&s->writer, &s->file, slotfile_slots_size(size));
	if (error != 0)
		hostfile_close(&s->file);
	(void)close(directory);
	return error;
}

int
backend_segment_refresh(struct backend_segment *s)
{
	int error;

	if (!s->is_doubtful)
		return 0;
	backend_segment_close(s);
	error = backend_segment_open(s, s->size);
	s->is_doubtful = error != 0;
	return error;
}

int
backend_segment_check_life(const struct backend_segment *s, uint64_t life)
{
	const struct mount *m = s->owner->remote->mount;
	int directory = open(m->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct hostfile lock = HOSTFILE_CLOSED;
	char magic[sizeof LAYOUT_MAGIC - 1];
	uint64_t seen = life;

	if (directory < 0)
		return 0;
	if (hostfile_open(&lock, directory, s->owner->name + 1, LAYOUT_LOCK_SIZE) == 0 &&
	    hostfile_read(&lock, LAYOUT_MAGIC_AT, magic, sizeof magic) == 0 &&
	    memcmp(magic, LAYOUT_MAGIC, sizeof magic) == 0)
		(void)hostfile_read(&lock, LAYOUT_LIFE_AT, &seen, sizeof seen);
	hostfile_close(&lock);
	(void)close(directory);
	return seen == life ?
	    0 :
	    error_message(-EIO,
		"%s: another server's directory: name the one that this server has as -r",
		m->directory);
}
