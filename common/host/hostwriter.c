#include "common/host/hostwriter.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/forkmark.h"
#include "common/host/hostfile.h"

enum {
	PIPE_SIZE = HOSTWRITER_BLOCKS * SIZE_BLOCK,
	FEW = 4 /* blocks that cost less one by one */
};

/*
 * The process's pipe. It belongs to a copy of the process (forkmark.h), and so does its use: what
 * another copy was doing with it when this one was made is not ours.
 */
static struct {
	_Atomic uint64_t user; /* the copy of which a thread uses it now; 0: nobody does */
	atomic_uint writers;   /* in this process; the last one closes it */
	uint64_t owner;        /* the copy that made it; 0: there is none */
	uint64_t inode;        /* what the program may have put in its place is not lent anything */
	int fds[2];
} lent;

/* Takes the pipe for this thread; false when another one has it. */
static bool
take_pipe(void)
{
	uint64_t self = forkmark_get(), seen = atomic_load(&lent.user);

	return seen != self && atomic_compare_exchange_strong(&lent.user, &seen, self);
}

static void
leave_pipe(void)
{
	atomic_store(&lent.user, 0);
}

/*
 * One end; the program may have closed it behind our back, and have a descriptor of its own there
 * by now.
 */
static bool
is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_ino == lent.inode;
}

/* Who has taken it. The parent's is closed here, too, where it came along. */
static void
close_pipe(void)
{
	int i;

	for (i = 0; i < 2 && lent.owner != 0; i++)
		if (is_ours(lent.fds[i]))
			(void)close(lent.fds[i]);
	lent.owner = 0;
}

/* Who has taken it: makes sure that there is one, of this copy, with room for all blocks. */
static bool
has_pipe(void)
{
	struct stat st;

	if (lent.owner == forkmark_get() && is_ours(lent.fds[0]) && is_ours(lent.fds[1]))
		return true;
	close_pipe();
	if (pipe2(lent.fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return false;
	lent.inode = fstat(lent.fds[0], &st) == 0 ? st.st_ino : 0;
	lent.owner = forkmark_get();
	if (fcntl(lent.fds[1], F_SETPIPE_SZ, PIPE_SIZE) >= PIPE_SIZE)
		return true;
	close_pipe();
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
		/*
		 * Where files are written by mapping anyhow there is no pwrite to fall back upon.
		 */
		.to_map = file->is_by_mapping ? 0 : size };
	(void)atomic_fetch_add(&lent.writers, 1);
	return 0;
}

static void
end_mapping(struct hostwriter *w)
{
	if (w->untrusted_base != NULL)
		(void)munmap(w->untrusted_base, w->to_map);
	w->untrusted_base = NULL;
	w->to_map = 0;
}

void
hostwriter_fini(struct hostwriter *w)
{
	if (w->buffer == NULL)
		return;
	end_mapping(w);
	explicit_bzero(w->buffer, w->room * SIZE_BLOCK);
	(void)munmap(w->buffer, w->room * SIZE_BLOCK);
	*w = (struct hostwriter){ 0 };
	if (atomic_fetch_sub(&lent.writers, 1) == 1 && take_pipe()) {
		close_pipe();
		leave_pipe();
	}
}

void
hostwriter_begin(struct hostwriter *w)
{
	w->count = 0;
}

/* Maps the file, once. */
static bool
has_mapping(struct hostwriter *w)
{
	void *memory;

	if (w->untrusted_base != NULL)
		return true;
	memory = mmap(NULL, w->to_map, PROT_READ | PROT_WRITE, MAP_SHARED, w->file->descriptor.fd,
	    0);
	if (memory == MAP_FAILED)
		return false;
	(void)madvise(memory, w->to_map, MADV_DONTDUMP);
	w->untrusted_base = memory;
	return true;
}

/* Of the last block, which is there if all are. */
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
add_lent(struct iovec *blocks, unsigned count, uint8_t *bytes, size_t size)
{
	struct iovec *last = blocks + count - (count > 0);

	if (count > 0 && (uint8_t *)last->iov_base + last->iov_len == bytes) {
		last->iov_len += size;
		return count;
	}
	blocks[count] = (struct iovec){ bytes, size };
	return count + 1;
}

/* Lends all blocks to the pipe. */
static bool
lend(const struct hostwriter *w, ssize_t size)
{
	struct iovec blocks[HOSTWRITER_BLOCKS];
	unsigned count = 0, i;

	for (i = 0; i < w->count; i++)
		count = add_lent(blocks, count, w->buffer + i * SIZE_BLOCK, w->sizes[i]);
	return vmsplice(lent.fds[1], blocks, count, SPLICE_F_NONBLOCK) == size;
}

/* Has the kernel read what was lent into its places. */
static bool
read_back(const struct hostwriter *w, ssize_t size)
{
	struct iovec places[HOSTWRITER_BLOCKS];
	unsigned i;

	for (i = 0; i < w->count; i++)
		places[i] = (struct iovec){ w->untrusted_base + w->offsets[i], w->sizes[i] };
	return readv(lent.fds[0], places, (int)w->count) == size;
}

/*
 * Writes all through pipe and mapping. False: something did not work, and anything may be written
 * or not.
 */
static bool
write_by_kernel(struct hostwriter *w)
{
	ssize_t size = 0;
	bool is_done;
	unsigned i;

	for (i = 0; i < w->count; i++)
		size += w->sizes[i];
	is_done = has_pipe() && lend(w, size) && has_mapping(w) && read_back(w, size) &&
	    (w->is_proven || prove(w));
	if (!is_done) {
		/*
		 * What is left in the pipe is not wanted; and it is not tried again: the file is
		 * not as it should be.
		 */
		close_pipe();
		end_mapping(w);
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

	if (w->count >= FEW && w->to_map != 0 && take_pipe()) {
		is_done = write_by_kernel(w);
		leave_pipe();
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
