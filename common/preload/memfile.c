#include "common/preload/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/preload/client.h"
#include "common/preload/report.h"
#include "common/preload/state.h"

/*
 * Where a replica is. These are never freed: allocators ask for them, with locks of their own that
 * a thread may want that has our mutexes.
 */
struct span {
	struct span *next;
	bool is_taken;         /* with the mutex of the files */
	atomic_uintptr_t base; /* 0: nowhere */
	atomic_size_t size;
};

static struct memfile *files;
static struct span *_Atomic spans;
atomic_uintptr_t memfile_low = UINTPTR_MAX, memfile_high;

struct memfile *
memfile_first(void)
{
	return files;
}

/* True for an answer that programs expect, which is no failure of the memory file. */
static bool
is_answer(int error)
{
	return error == -EAGAIN || error == -EINTR || error == -EDEADLK || error == -EEXIST ||
	    (error == -ENOENT && client_says_absent());
}

static int
tell(struct memfile *f, const char *path, const char *what, int error)
{
	if (f == NULL || atomic_exchange(&f->failure, error) != error)
		report(path, "%s: %s", what, client_error());
	return error;
}

int
memfile_fail(struct memfile *f, const char *path, const char *what, int error)
{
	return error == 0 || is_answer(error) ? error : tell(f, path, what, error);
}

/* True for errors after which the handle never works again. */
static bool
is_final(int error)
{
	return error == -ENOTCONN || error == -ECONNRESET || error == -ESTALE || error == -EBADF ||
	    error == -EPROTO;
}

/* NULL without memory. */
static struct span *
take_span(void)
{
	struct span *s = spans;

	while (s != NULL && s->is_taken)
		s = s->next;
	if (s == NULL) {
		s = calloc(1, sizeof *s);
		if (s == NULL)
			return NULL;
		s->next = spans;
		spans = s;
	}
	s->is_taken = true;
	return s;
}

/* Takes NULL. */
static void
give_span(struct span *s)
{
	if (s == NULL)
		return;
	atomic_store(&s->base, 0);
	s->is_taken = false;
}

/* The segment is mapped. With the mutex of the files. */
static void
note_mapping(struct memfile *f, void *base, size_t size)
{
	uintptr_t begin = (uintptr_t)base;

	if (begin < atomic_load(&memfile_low))
		atomic_store(&memfile_low, begin);
	if (begin + size > atomic_load(&memfile_high))
		atomic_store(&memfile_high, begin + size);
	f->size = size;
	f->base = base;
	atomic_store(&f->span->size, size);
	atomic_store(&f->span->base, begin);
}

/* Maps the segment if there is one. Fails only when the file is gone. */
static int
map_at_open(struct memfile *f)
{
	struct sm_stat s;
	void *base;
	int error = client_stat(f->handle, &s);

	if (error != 0)
		return is_final(error) ? error : 0;
	f->life = s.life;
	if (s.size > 0 && f->base == NULL && client_map(f->handle, NULL, 0, &base) == 0) {
		note_mapping(f, base, s.size);
	}
	return 0;
}

/* Opens a handle of the same file. */
static int
open_again(const struct memfile *f, struct sm_file **out)
{
	struct sm_stat s;
	int error = client_open(out, f->path, SM_OPEN_CREATE);

	if (error != 0)
		return error;
	error = client_stat(*out, &s);
	if (error == 0 && s.life != f->life)
		error = -ESTALE;
	if (error != 0)
		(void)client_close(*out);
	return error;
}

int
memfile_reopen(struct memfile *f)
{
	void *base = NULL;
	struct sm_file *handle;
	int error;

	if (!f->is_inherited)
		return -ESTALE;
	error = open_again(f, &handle);
	if (error == 0 || error == -ESTALE)
		f->is_inherited = false;
	if (error != 0)
		return error;
	if (f->base != NULL) {
		(void)client_unmap(f->base);
		error = client_map(handle, f->base, 0, &base);
		if (base != f->base)
			f->is_gone = true;
	}
	/* Another thread may be using the old one, which stays. */
	f->handle = handle;
	return f->is_gone ? -ESTALE : error;
}

/* The file of that path, unless its server is gone. */
static struct memfile *
find(const char *path)
{
	struct memfile *f;
	int error;

	for (f = files; f != NULL; f = f->next) {
		if (f->is_gone || strcmp(f->path, path) != 0)
			continue;
		error = map_at_open(f);
		if (error == -ESTALE)
			error = memfile_reopen(f);
		if (error == 0)
			return f;
		f->is_gone = true;
	}
	return NULL;
}

/* True when this process still maps a file of that path whose server is gone. */
static bool
is_mapped_still(const char *path)
{
	struct memfile *f;

	for (f = files; f != NULL; f = f->next)
		if (f->is_gone && f->maps > 0 && strcmp(f->path, path) == 0)
			return true;
	return false;
}

static int
open_handle(struct memfile *f, int flags)
{
	int how = (flags & O_CREAT) != 0 ? SM_OPEN_CREATE : 0, error;

	if (how != 0 && (flags & O_EXCL) != 0)
		how |= SM_OPEN_EXCLUSIVE;
	error = client_open(&f->handle, f->path, how);
	/* A file that is to be created is never absent. */
	if (error == -ENOENT && how != 0)
		return tell(NULL, f->path, "open", error);
	if (error != 0)
		return memfile_fail(NULL, f->path, "open", error);
	(void)map_at_open(f);
	return 0;
}

static int
create(struct memfile **out, const char *path, int flags)
{
	struct memfile *f = calloc(1, sizeof *f);
	int error = -ENOMEM;

	if (f != NULL && (f->path = strdup(path)) != NULL && (f->span = take_span()) != NULL)
		error = open_handle(f, flags);
	if (error != 0) {
		if (f != NULL) {
			give_span(f->span);
			free(f->path);
		}
		free(f);
		return error;
	}
	state_lock();
	f->next = files;
	files = f;
	state_unlock();
	*out = f;
	return 0;
}

int
memfile_open(struct memfile **out, const char *path, int flags)
{
	struct memfile *f = find(path);
	int error = 0;

	if (f == NULL && is_mapped_still(path)) {
		report(path, "open: an earlier file of this name is lost, and still mapped");
		return -ESTALE;
	}
	if (f == NULL)
		error = create(&f, path, flags);
	else if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
		error = -EEXIST;
	if (error != 0)
		return error;
	f->users++;
	*out = f;
	return 0;
}

int
memfile_put(struct memfile *f)
{
	struct memfile **link = &files;
	int error = 0, closed;

	if (--f->users > 0)
		return 0;
	state_lock();
	while (*link != f)
		link = &(*link)->next;
	*link = f->next;
	state_unlock();
	give_span(f->span);
	if (f->base != NULL)
		error = client_unmap(f->base);
	closed = client_close(f->handle);
	if (error == 0)
		error = closed;
	(void)memfile_fail(f, f->path, "close", error);
	free(f->path);
	free(f);
	return error;
}

int
memfile_map(struct memfile *f, void *hint, size_t size)
{
	struct sm_file *handle;
	struct sm_stat s = { .size = size };
	void *base;
	int error;

	if (f->base != NULL)
		return size == 0 || size == f->size ? 0 : -EINVAL;
	state_lock();
	handle = f->writer != NULL ? f->writer : f->handle;
	state_unlock();
	error = size == 0 ? client_stat(handle, &s) : 0;
	if (error == 0 && s.size == 0)
		return -EINVAL;
	if (error == 0)
		error = client_map(handle, hint, size, &base);
	if (error != 0)
		return memfile_fail(f, f->path, "map", error);
	note_mapping(f, base, s.size);
	return 0;
}

int
memfile_size(struct memfile *f, uint64_t *size)
{
	struct sm_stat s;
	int error;

	if (f->base != NULL) {
		*size = f->size;
		return 0;
	}
	error = client_stat(f->handle, &s);
	if (error != 0)
		return memfile_fail(f, f->path, "size", error);
	*size = s.size;
	return 0;
}

struct memfile *
memfile_mapped_at(const void *address, size_t size)
{
	uintptr_t begin = (uintptr_t)address, base;
	struct memfile *f;

	for (f = files; f != NULL; f = f->next) {
		base = (uintptr_t)f->base;
		if (base != 0 && begin < base + f->size && base < begin + size)
			return f;
	}
	return NULL;
}

bool
memfile_is_mapped_at(const void *address, size_t size)
{
	uintptr_t begin = (uintptr_t)address, base;
	const struct span *s;

	for (s = spans; s != NULL; s = s->next) {
		base = atomic_load(&s->base);
		if (base != 0 && begin < base + atomic_load(&s->size) && base < begin + size)
			return true;
	}
	return false;
}
