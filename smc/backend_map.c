#include "smc/backend_core.h"

#include <errno.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/host/filename.h"
#include "smc/stalename.h"

/* Creates the segment file, under the recovery lock. */
static int
create_segment(struct smc_file *f, int directory, const char *name, uint32_t size)
{
	struct lockfile_head *h = f->lockfile.untrusted_head;
	int error;

	/* Announced before it is created: a process that finds it knows that it is ours. */
	atomic_store(&h->block_count, size_block_count(size));
	testpoint_reach("map: segment announced");
	error = segment_create(directory, name, size);
	if (error == -EEXIST && !f->lockfile.has_kernel_locks) {
		stalename_forget(directory, name);
		error = segment_create(directory, name, size);
	}
	testpoint_reach("map: segment made");
	if (error != 0) {
		atomic_store(&h->block_count, 0);
		return error_message(error, "%s/%s: cannot be created: %s", f->lockfile.directory,
		    name, error_string(error));
	}
	error = segmentkey_create(&f->key, &f->lockfile, f->mount);
	if (error != 0) {
		(void)unlinkat(directory, name, 0);
		atomic_store(&h->block_count, 0);
		return error;
	}
	h->type = PROTOCOL_TYPE_UNPUBLISHED;
	testpoint_reach("map: key made");
	atomic_store(&h->segment_size, size);
	return 0;
}

/*
 * Returns 0 when there is no such file, or -EEXIST. Opens it to find out: a library OS may remember
 * the name of a file that is gone.
 */
static int
check_no_file(const struct smc_file *f, int directory, const char *name)
{
	struct hostfile file;
	int error = hostfile_open(&file, directory, name, 0);

	if (error == -ENOENT)
		return 0;
	if (error == 0)
		hostfile_close(&file);
	if (error == -EMFILE || error == -ENFILE)
		return lockfile_fail(&f->lockfile, error, error_string(error));
	return error_message(-EEXIST, "%s/%s: a foreign file has this name: move it away",
	    f->lockfile.directory, name);
}

/* Finds the segment of that size, or creates it, under the recovery lock. */
static int
find_or_create(struct smc_file *f, int directory, const char *name, uint32_t size)
{
	struct lockfile_head *h = f->lockfile.untrusted_head;
	uint64_t found = atomic_load(&h->segment_size);
	int error;

	if (found == size)
		return segmentkey_find(&f->key, &f->lockfile, f->mount);
	if (found != 0)
		return lockfile_fail(&f->lockfile, -EINVAL, "the segment has another size");
	/* A process began to create it and died. */
	if (atomic_load(&h->block_count) != 0)
		(void)unlinkat(directory, name, 0);
	atomic_store(&h->block_count, 0);
	error = check_no_file(f, directory, name);
	return error == 0 ? create_segment(f, directory, name, size) : error;
}

/*
 * With the local lock: no thread uses the segment. Threads may ask about it, and a fork waits for
 * the mutex.
 */
static void
replace_segment(struct smc_file *f, struct segment *s)
{
	struct segment *previous;

	(void)pthread_mutex_lock(&f->mutex);
	previous = f->segment;
	f->segment = s;
	(void)pthread_mutex_unlock(&f->mutex);
	segment_close(previous);
}

int
backend_map(struct smc_file *f, uint32_t size)
{
	char name[FILENAME_SEGMENT_SIZE];
	struct segment *s = NULL;
	int directory = -1, error = lockfile_lock_recovery(&f->lockfile);

	if (error != 0)
		return error;
	filename_segment(name, f->lockfile.name);
	error = lockfile_open_directory(&f->lockfile, &directory);
	if (error == 0)
		error = find_or_create(f, directory, name, size);
	lockfile_unlock_recovery(&f->lockfile);
	replace_segment(f, NULL);
	if (error == 0) {
		error = segment_open(&s, directory, name, size, f->key.bytes);
		if (error != 0)
			error_message(error, "%s/%s: %s", f->lockfile.directory, name,
			    error_string(error));
	}
	replace_segment(f, s);
	if (directory >= 0)
		(void)close(directory);
	return error;
}
