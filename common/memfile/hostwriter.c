#include "common/memfile/hostwriter.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/forkmark.h"
#include "common/memfile/hostfile.h"

enum {
	BUFFER_SIZE = HOSTWRITER_BLOCKS * SIZE_BLOCK,
	FEW = 4, /* blocks that cost less one by one */
	NO_OWNER = 0
};

/* One end; the program may have closed it behind our back, and have a descriptor of its own there by now. */
static bool
is_ours(const struct hostwriter *w, int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_ino == w->pipe_inode;
}

static void
close_pipe(struct hostwriter *w)
{
	int i;

	for (i = 0; i < 2; i++)
		if (is_ours(w, w->pipe[i]))
			(void)close(w->pipe[i]);
	w->pipe[0] = w->pipe[1] = -1;
	w->pipe_owner = NO_OWNER;
}

int
hostwriter_init(struct hostwriter *w, const struct hostfile *file, uint64_t size)
{
	void *memory = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	*w = (struct hostwriter){ .file = file,
		.buffer = memory,
		.pipe = { -1, -1 },
		.pipe_owner = NO_OWNER };
	/* Where files are written by mapping anyhow there is no pwrite to fall back upon. */
	if (file->is_by_mapping)
		return 0;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (memory == MAP_FAILED)
		return 0;
	(void)madvise(memory, size, MADV_DONTDUMP);
	w->untrusted_base = memory;
	w->mapped = size;
	return 0;
}

static void
end_mapping(struct hostwriter *w)
{
	if (w->untrusted_base != NULL)
		(void)munmap(w->untrusted_base, w->mapped);
	w->untrusted_base = NULL;
	close_pipe(w);
}

void
hostwriter_fini(struct hostwriter *w)
{
	if (w->buffer == NULL)
		return;
	end_mapping(w);
	explicit_bzero(w->buffer, BUFFER_SIZE);
	(void)munmap(w->buffer, BUFFER_SIZE);
	*w = (struct hostwriter){ 0 };
}

void
hostwriter_begin(struct hostwriter *w)
{
	w->count = 0;
}

/* A pipe of this process with room for all blocks. Pipes are few: without one there is pwrite. */
static bool
has_pipe(struct hostwriter *w)
{
	struct stat st;

	if (w->pipe_owner == forkmark_get() && is_ours(w, w->pipe[0]) && is_ours(w, w->pipe[1]))
		return true;
	/* The parent's is the parent's. */
	close_pipe(w);
	if (pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
		w->pipe[0] = w->pipe[1] = -1;
		return false;
	}
	if (fstat(w->pipe[0], &st) == 0)
		w->pipe_inode = st.st_ino;
	if (fcntl(w->pipe[1], F_SETPIPE_SZ, BUFFER_SIZE) < BUFFER_SIZE) {
		close_pipe(w);
		return false;
	}
	w->pipe_owner = forkmark_get();
	return true;
}

/* Of the last block, which is there if all are: a library OS may have mapped a private copy. */
static bool
prove(struct hostwriter *w)
{
	uint8_t seen[SIZE_BLOCK];
	unsigned last = w->count - 1;

	w->is_proven = hostfile_read(w->file, w->offsets[last], seen, w->sizes[last]) == 0 &&
	    memcmp(seen, w->buffer + last * SIZE_BLOCK, w->sizes[last]) == 0;
	return w->is_proven;
}

/* Adds what is lent to the pipe; what adjoins is one. Returns how many there are then. */
static unsigned
add_lent(struct iovec *lent, unsigned count, uint8_t *bytes, size_t size)
{
	struct iovec *last = lent + count - (count > 0);

	if (count > 0 && (uint8_t *)last->iov_base + last->iov_len == bytes) {
		last->iov_len += size;
		return count;
	}
	lent[count] = (struct iovec){ bytes, size };
	return count + 1;
}

/* Writes all through pipe and mapping. False: something did not work, and anything may be written or not. */
static bool
write_by_kernel(struct hostwriter *w)
{
	struct iovec blocks[HOSTWRITER_BLOCKS];
	unsigned count = 0, i;
	ssize_t size = 0;

	if (!has_pipe(w))
		return false;
	for (i = 0; i < w->count; i++) {
		count = add_lent(blocks, count, w->buffer + i * SIZE_BLOCK, w->sizes[i]);
		w->places[i] = (struct iovec){ w->untrusted_base + w->offsets[i], w->sizes[i] };
		size += w->sizes[i];
	}
	if (vmsplice(w->pipe[1], blocks, count, 0) == size &&
	    readv(w->pipe[0], w->places, (int)w->count) == size && (w->is_proven || prove(w)))
		return true;
	/* What is left in it is not wanted any more. */
	close_pipe(w);
	return false;
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
	int error = 0;

	if (w->count < FEW || w->untrusted_base == NULL || !write_by_kernel(w)) {
		/* Once it did not work it is not tried again: the file is not as it should be. */
		if (w->count >= FEW)
			end_mapping(w);
		error = write_one_by_one(w);
	}
	w->count = 0;
	return error;
}

int
hostwriter_put(struct hostwriter *w, uint64_t offset, uint32_t size)
{
	assert(w->count < HOSTWRITER_BLOCKS && size <= SIZE_BLOCK);
	w->offsets[w->count] = offset;
	w->sizes[w->count] = size;
	w->count++;
	return w->count == HOSTWRITER_BLOCKS ? hostwriter_flush(w) : 0;
}
