#include "smuf/backend_segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/client/mount.h"
#include "common/client/track/dirty.h"
#include "common/host/filename.h"
#include "common/host/hostio.h"
#include "common/host/hostprobe.h"
#include "common/remote/remotefile.h"
#include "smuf/layout.h"

enum { FIRST_SLOT = 1 }; /* the current one of a block that was never published */

static int
fail(const struct backend_segment *s, int error, const char *what, const char *cause)
{
	return error_message(error, "%s%s" FILENAME_SUFFIX ": %s: %s",
	    s->owner->remote->mount->directory, s->owner->name, what, cause);
}

/* A file of the host that cannot be used is an I/O error; a shortage of the process is its own. */
static int
error_of(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM ? error : -EIO;
}

static const char *
cause_of(int error)
{
	return error == -EIO ? "it is too short, or no regular file" : error_string(error);
}

/* Error of sealing or writing. */
static int
fail_write(const struct backend_segment *s, int error)
{
	if (error == 0 || error == -ESTALE)
		return error;
	return fail(s, error, "cannot be written", error_string(error));
}

/*
 * Where the file works by mapping its length is not known, and a mapping beyond it ends the
 * process. The server writes it into the lock file before it creates the segment file.
 */
static int
check_size(const struct backend_segment *s, int directory)
{
	struct hostfile lock = HOSTFILE_CLOSED;
	uint64_t size = 0;
	int error = hostfile_open(&lock, directory, s->owner->name + 1, LAYOUT_LOCK_SIZE);

	if (error == 0)
		error = hostfile_read(&lock, LAYOUT_SEGMENT_AT, &size, sizeof size);
	hostfile_close(&lock);
	return error == 0 && size < slotfile_slots_size(s->size) ? -EIO : error;
}

/* Private mappings do harm only where the file works by mapping. */
static int
check_mapping(const struct backend_segment *s, int directory)
{
	int error;

	if (!s->file.file.is_by_mapping)
		return 0;
	error = check_size(s, directory);
	if (error == 0)
		error = hostprobe_check_shared(directory, s->owner->name + 1, LAYOUT_PROBE_AT);
	if (error == -ENOTSUP)
		return error_message(error,
		    "%s: mappings here are private copies: mount it as untrusted_shm in the library OS",
		    s->owner->remote->mount->directory);
	return error == 0 ? 0 : fail(s, error_of(error), "cannot be shared", cause_of(error));
}

static int
open_file(struct backend_segment *s)
{
	const char *path = s->owner->remote->mount->directory;
	char name[FILENAME_SEGMENT_SIZE];
	int directory, error = hostio_open_directory(&directory, path);

	if (error != 0)
		return error_message(error_of(error),
		    "%s: %s (the mount has to name the directory of smufserver's -r)", path,
		    error_string(error));
	filename_segment(name, s->owner->name + 1);
	error = slotfile_open(&s->file, directory, name, s->size, 0);
	if (error == 0) {
		error = check_mapping(s, directory);
		if (error != 0)
			slotfile_close(&s->file);
	} else if (error != -ENOMEM) {
		error = fail(s, error_of(error),
		    "cannot be opened (does the mount name a smufserver and its -r?)",
		    cause_of(error));
	}
	(void)close(directory);
	return error;
}

int
backend_segment_open(struct backend_segment *s, const struct remotefile *owner, uint32_t size)
{
	uint32_t count = size_block_count(size);
	int error;

	*s = (struct backend_segment){
		.owner = owner,
		.size = size,
		.slots = malloc(count),
		.epoch = owner->epoch,
	};
	error = s->slots == NULL ? -ENOMEM : sealbox_create(&s->box);
	if (error == 0) {
		memset(s->slots, FIRST_SLOT, count);
		error = open_file(s);
	}
	if (error != 0)
		backend_segment_close(s);
	return error;
}

void
backend_segment_close(struct backend_segment *s)
{
	slotfile_close(&s->file);
	sealbox_destroy(s->box);
	free(s->slots);
	*s = (struct backend_segment){ 0 };
}

int
backend_segment_check_life(const struct remotefile *owner, uint64_t life)
{
	const char *path = owner->remote->mount->directory;
	struct hostfile lock = HOSTFILE_CLOSED;
	char magic[sizeof LAYOUT_MAGIC - 1];
	uint64_t seen = life;
	int directory;

	if (hostio_open_directory(&directory, path) != 0)
		return 0;
	if (hostfile_open(&lock, directory, owner->name + 1, LAYOUT_LOCK_SIZE) == 0 &&
	    hostfile_read(&lock, LAYOUT_MAGIC_AT, magic, sizeof magic) == 0 &&
	    memcmp(magic, LAYOUT_MAGIC, sizeof magic) == 0)
		(void)hostfile_read(&lock, LAYOUT_LIFE_AT, &seen, sizeof seen);
	hostfile_close(&lock);
	(void)close(directory);
	return seen == life ?
	    0 :
	    error_message(-EIO,
		"%s: this is another server's directory, not that of this server's -r", path);
}

int
backend_segment_begin_grant(struct backend_segment *s, const uint8_t key[SEALBOX_KEY_SIZE],
    bool is_whole)
{
	int error = sealbox_set_key(s->box, key);

	if (s->epoch != s->owner->epoch) {
		/* A forked child may have closed what it inherited. */
		s->epoch = s->owner->epoch;
		s->must_reopen = s->must_reopen || !slotfile_is_intact(&s->file);
	}
	if (error == 0 && s->must_reopen) {
		slotfile_close(&s->file);
		error = open_file(s);
		s->must_reopen = error != 0;
	}
	/* Blocks that a whole grant does not name were never published. */
	if (error == 0 && is_whole)
		memset(s->slots, FIRST_SLOT, size_block_count(s->size));
	return error;
}

int
backend_segment_begin_reading(struct backend_segment *s)
{
	if (slotfile_is_intact(&s->file))
		return 0;
	s->must_reopen = true;
	return fail(s, -EBADF, "cannot be read", OWNFD_LOST);
}

int
backend_segment_open_block(struct backend_segment *s, const struct backend_segment_block *b,
    uint8_t *out)
{
	int error = slotfile_read(&s->file, b->block, b->slot);

	if (error != 0) {
		s->must_reopen = true;
		return fail(s, -EIO, "cannot be read", cause_of(error));
	}
	error = sealbox_open(s->box, b->version, b->block, s->file.block,
	    size_of_block(s->size, b->block), b->tag, out);
	if (error != 0) {
		s->must_reopen = true;
		return error_message(error,
		    "%s%s" FILENAME_SUFFIX
		    ": block %u is not what was published: the host has changed it, or the mount names another server's directory",
		    s->owner->remote->mount->directory, s->owner->name, b->block);
	}
	s->slots[b->block] = b->slot;
	return 0;
}

int
backend_segment_begin_release(struct backend_segment *s)
{
	int error = slotfile_check(&s->file);

	if (error != 0)
		return fail(s, error, "cannot be written",
		    error == -EBADF ? OWNFD_LOST : error_string(error));
	slotfile_begin(&s->file);
	return 0;
}

int
backend_segment_seal_block(struct backend_segment *s, uint64_t grant, uint32_t block,
    const uint8_t *plain, uint8_t *slot, uint8_t tag[SEALBOX_TAG_SIZE])
{
	int error = sealbox_seal(s->box, grant, block, plain, size_of_block(s->size, block),
	    slotfile_room(&s->file), tag);

	if (error != 0)
		return fail_write(s, error);
	testpoint_reach("smuf release: block sealed");
	*slot = !s->slots[block];
	error = slotfile_put(&s->file, block, *slot);
	testpoint_reach("smuf release: block put");
	return fail_write(s, error);
}

int
backend_segment_end_release(struct backend_segment *s)
{
	return fail_write(s, slotfile_flush(&s->file));
}

void
backend_segment_switch_slots(struct backend_segment *s, const struct dirty *d)
{
	struct dirty_cursor c = { 0 };
	uint32_t block;

	while (dirty_next_block(d, &c, &block))
		s->slots[block] = !s->slots[block];
}
