#include "common/host/hostwriter.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/forkmark.h"
#include "common/base/highfd.h"
#include "common/host/hostfile.h"
#include "common/host/hostio.h"
#include "common/host/ownfd.h"

enum {
	PIPE_SIZE = HOSTWRITER_BLOCKS * SIZE_BLOCK,
	PIPE_BLOCKS_LEAST = 4 /* fewer blocks cost less one by one */
};

/*
 * The process's pipe. It belongs to a copy of the process (forkmark.h), and so does its use: when a
 * copy is made, no thread of the new one uses it.
 */
static struct {
	_Atomic uint64_t user; /* the copy of which a thread uses it now; 0: none */
	atomic_uint writers;   /* in this process; the last one closes it */
	uint64_t owner;        /* the copy that made it; 0: there is none */
	struct ownfd read_end, write_end;
} shared_pipe;

/* Takes the pipe for this thread; false when another one has it. Never waits. */
static bool
try_lock_pipe(void)
{
	uint64_t self = forkmark_get(), seen = atomic_load(&shared_pipe.user);

	return seen != self && atomic_compare_exchange_strong(&shared_pipe.user, &seen, self);
}

static void
unlock_pipe(void)
{
	atomic_store(&shared_pipe.user, 0);
}

/* Caller holds the pipe. In a forked child this also closes the inherited descriptors. */
static void
close_pipe(void)
{
	if (shared_pipe.owner == 0)
		return;
	ownfd_close(&shared_pipe.read_end);
	ownfd_close(&shared_pipe.write_end);
	shared_pipe.owner = 0;
}

/* Caller holds the pipe. Makes one unless this copy of the process has one that is intact. */
static bool
open_pipe(void)
{
	int fds[2];

	if (shared_pipe.owner == forkmark_get() && ownfd_is_intact(&shared_pipe.read_end) &&
	    ownfd_is_intact(&shared_pipe.write_end))
		return true;
	close_pipe();
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0 || highfd_pair(fds) != 0)
		return false;
	if (fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE) >= PIPE_SIZE) {
		shared_pipe.read_end = ownfd_of(fds[0]);
		shared_pipe.write_end = ownfd_of(fds[1]);
		shared_pipe.owner = forkmark_get();
		return true;
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
	return false;
}

int
hostwriter_init(struct hostwriter *w, const struct hostfile *file, uint64_t size)
{
	unsigned room = size < PIPE_SIZE ? (unsigned)(size / SIZE_BLOCK) : HOSTWRITER_BLOCKS;
	void *buffer;

	if (room == 0)
		room = 1;
	buffer = mmap(NULL, room * SIZE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);
	if (buffer == MAP_FAILED)
		return -ENOMEM;
	*w = (struct hostwriter){ .file = file,
		.buffer = buffer,
		.room = room,
		/* A file that is written through its own mapping has no pwrite to fall back on. */
		.map_size = file->is_by_mapping ? 0 : size };
	(void)atomic_fetch_add(&shared_pipe.writers, 1);
	return 0;
}

static void
unmap(struct hostwriter *w)
{
	if (w->untrusted_base != NULL)
		(void)munmap(w->untrusted_base, w->map_size);
	w->untrusted_base = NULL;
	w->map_size = 0;
}

void
hostwriter_fini(struct hostwriter *w)
{
	if (w->buffer == NULL)
		return;
	unmap(w);
	explicit_bzero(w->buffer, w->room * SIZE_BLOCK);
	(void)munmap(w->buffer, w->room * SIZE_BLOCK);
	*w = (struct hostwriter){ 0 };
	if (atomic_fetch_sub(&shared_pipe.writers, 1) == 1 && try_lock_pipe()) {
		close_pipe();
		unlock_pipe();
	}
}

void
hostwriter_begin(struct hostwriter *w)
{
	w->count = 0;
}

/* Maps the file unless it is mapped. */
static bool
map(struct hostwriter *w)
{
	if (w->untrusted_base != NULL)
		return true;
	if (hostio_map(w->file->descriptor.fd, 0, w->map_size, &w->untrusted_base) != 0)
		return false;
	(void)madvise(w->untrusted_base, w->map_size, MADV_DONTDUMP);
	return true;
}

/* Reads the last block from the file: it is there if all are. */
static bool
prove(struct hostwriter *w)
{
	uint8_t seen[SIZE_BLOCK];
	unsigned last = w->count - 1;

	w->is_proven = hostfile_read(w->file, w->offsets[last], seen, w->sizes[last]) == 0 &&
	    memcmp(seen, w->buffer + last * SIZE_BLOCK, w->sizes[last]) == 0;
	return w->is_proven;
}

/* Adds bytes to blocks, merged with the last of them where they adjoin. Returns the new count. */
static unsigned
add_block(struct iovec *blocks, unsigned count, uint8_t *bytes, size_t size)
{
	struct iovec *last = blocks + count - (count > 0);

	if (count > 0 && (uint8_t *)last->iov_base + last->iov_len == bytes) {
		last->iov_len += size;
		return count;
	}
	blocks[count] = (struct iovec){ bytes, size };
	return count + 1;
}

/* Puts all blocks, size bytes, into the pipe, which then refers to the buffer's pages. */
static bool
fill_pipe(const struct hostwriter *w, ssize_t size)
{
	struct iovec blocks[HOSTWRITER_BLOCKS];
	unsigned count = 0, i;

	for (i = 0; i < w->count; i++)
		count = add_block(blocks, count, w->buffer + i * SIZE_BLOCK, w->sizes[i]);
	return vmsplice(shared_pipe.write_end.fd, blocks, count, SPLICE_F_NONBLOCK) == size;
}

/* Reads the pipe, size bytes, into the places of the blocks in the mapping. */
static bool
empty_pipe(const struct hostwriter *w, ssize_t size)
{
	struct iovec places[HOSTWRITER_BLOCKS];
	unsigned i;

	for (i = 0; i < w->count; i++)
		places[i] = (struct iovec){ w->untrusted_base + w->offsets[i], w->sizes[i] };
	return readv(shared_pipe.read_end.fd, places, (int)w->count) == size;
}

/*
 * Writes all blocks through pipe and mapping. False: something did not work, and any of them may be
 * written or not.
 */
static bool
write_by_pipe(struct hostwriter *w)
{
	ssize_t size = 0;
	bool is_done;
	unsigned i;

	for (i = 0; i < w->count; i++)
		size += w->sizes[i];
	is_done = open_pipe() && fill_pipe(w, size) && map(w) && empty_pipe(w, size) &&
	    (w->is_proven || prove(w));
	if (!is_done) {
		/* The pipe may not be empty. No second try: the file is not as it should be. */
		close_pipe();
		unmap(w);
	}
	return is_done;
}

static int
write_one_by_one(struct hostwriter *w)
{
	unsigned i;
	int error = 0;

	for (i = 0; i < w->count && error == 0; i++)
		error = hostfile_write(w->file, w->offsets[i], w->buffer + i * SIZE_BLOCK,
		    w->sizes[i]);
	return error;
}

int
hostwriter_flush(struct hostwriter *w)
{
	bool is_done = false;
	int error = 0;

	if (w->count >= PIPE_BLOCKS_LEAST && w->map_size != 0 && try_lock_pipe()) {
		is_done = write_by_pipe(w);
		unlock_pipe();
	}
	if (!is_done)
		error = write_one_by_one(w);
	w->count = 0;
	return error;
}

int
hostwriter_put(struct hostwriter *w, uint64_t offset, uint32_t size)
{
	assert(w->count < w->room && size <= SIZE_BLOCK);
	w->offsets[w->count] = offset;
	w->sizes[w->count] = size;
	w->count++;
	return w->count == w->room ? hostwriter_flush(w) : 0;
}
