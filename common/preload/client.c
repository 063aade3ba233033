#include "common/preload/client.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/preload/mountpoints.h"
#include "common/preload/next.h"
#include "common/preload/placeholder.h"
#include "common/preload/report.h"

enum { ERROR_SIZE = 128 };

/* The functions that are used, as smclient.h declares them. */
#define FUNCTIONS(X) \
	X(sm_new) \
	X(sm_load) \
	X(sm_open_flags) \
	X(sm_close) \
	X(sm_map) \
	X(sm_unmap) \
	X(sm_acquire) \
	X(sm_unlock) \
	X(sm_holder) \
	X(sm_stat) \
	X(sm_error) \
	X(sm_downgrade)

#define MEMBER(name) __typeof__(&name) name;
static struct {
	FUNCTIONS(MEMBER)
} library;

static struct sm *set; /* NULL: not loaded */

/* The soname's number is the first one of the version. */
static void
write_soname(char out[], size_t size)
{
	(void)snprintf(out, size, "libsmclient.so.%.*s", (int)strcspn(SMCLIENT_VERSION, "."),
	    SMCLIENT_VERSION);
}

/* Loads the library from a place relative to the directory of this one; NULL where it is not. */
static void *
load_from(const char *self, const char *place, const char *name)
{
	const char *slash = strrchr(self, '/');
	char path[PATH_MAX];

	if (slash == NULL ||
	    (size_t)snprintf(path, sizeof path, "%.*s/%s%s", (int)(slash - self), self, place,
		name) >= sizeof path)
		return NULL;
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* Beside this library as in a build, above it as installed, or where the loader finds it. */
static void *
find_library(void)
{
	char name[NAME_MAX];
	void *found = NULL;
	Dl_info self;

	write_soname(name, sizeof name);
	if (dladdr((void *)(intptr_t)client_load, &self) != 0) {
		found = load_from(self.dli_fname, "", name);
		if (found == NULL)
			found = load_from(self.dli_fname, "../", name);
	}
	return found != NULL ? found : dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

#define FIND(name) \
	missing = missing != NULL                                                     ? missing : \
	    (library.name = (__typeof__(&name))(intptr_t)dlsym(found, #name)) == NULL ? #name : \
											NULL;

static int
load_library(void)
{
	void *found = find_library();
	const char *missing = NULL;

	if (found == NULL) {
		report(NULL, "%s", dlerror());
		return -ENOSYS;
	}
	FUNCTIONS(FIND)
	if (missing == NULL)
		return 0;
	report(NULL, "libsmclient has no function %s", missing);
	return -ENOSYS;
}

int
client_load(void)
{
	static struct sm *s; /* after a failure the next call loads into the same */
	int saved = errno, error;

	if (set != NULL)
		return 0;
	error = s == NULL ? load_library() : 0;
	if (error != 0)
		return error;
	if (s == NULL)
		s = library.sm_new();
	if (s == NULL || library.sm_load(s, mountpoints_file()) != 0) {
		error = -errno;
		report(NULL, "%s", library.sm_error(s));
		return error;
	}
	set = s;
	errno = saved;
	return 0;
}

static atomic_bool is_standard_free; /* one of the numbers 0, 1 and 2 was */

unsigned
client_occupy(void)
{
	unsigned taken = 0;
	int fd;

	while ((fd = placeholder_open(true)) >= 0 && fd <= STDERR_FILENO)
		taken |= 1U << fd;
	if (fd >= 0)
		(void)NEXT(close)(fd);
	is_standard_free = taken != 0;
	return taken;
}

void
client_leave(unsigned taken)
{
	int fd;

	/* Unless another thread of the program has put something there meanwhile. */
	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if ((taken & 1U << fd) != 0 && placeholder_is(fd))
			(void)NEXT(close)(fd);
}

/* For calls of the client library that open descriptors in a forked child only. */
static unsigned
occupy_if_free(void)
{
	return is_standard_free ? client_occupy() : 0;
}

/*
 * 0 or a negative errno, for a result of the library. The program finds errno as it was, saved: the
 * library and OpenSSL set it also where they succeed, even to 0.
 */
static int
error_of(int result, int saved)
{
	int error = result == 0 ? 0 : -errno;

	errno = saved;
	return error;
}

static int
open_handle(struct sm_file **out, const char *path, int flags)
{
	*out = library.sm_open_flags(set, path, flags | SM_OPEN_OWNER);
	return *out != NULL ? 0 : -1;
}

int
client_open(struct sm_file **out, const char *path, int flags)
{
	int saved = errno, error;
	unsigned taken = client_occupy();
	struct sm_file *handle;

	error = error_of(open_handle(&handle, path, flags), saved);
	/* A server without extensions creates a file that does not exist. */
	if (error == -ENOTSUP && flags == 0)
		error = error_of(open_handle(&handle, path, SM_OPEN_CREATE), saved);
	client_leave(taken);
	if (error == 0)
		*out = handle;
	return error;
}

int
client_close(struct sm_file *handle)
{
	int saved = errno;

	return error_of(library.sm_close(handle), saved);
}

int
client_map(struct sm_file *handle, void *hint, size_t size, void **out)
{
	int saved = errno, error;
	unsigned taken = client_occupy();
	void *address = library.sm_map(handle, hint, size);

	error = error_of(address != NULL ? 0 : -1, saved);
	client_leave(taken);
	if (error == 0)
		*out = address;
	return error;
}

int
client_unmap(void *address)
{
	int saved = errno;

	return error_of(library.sm_unmap(set, address), saved);
}

int
client_acquire(struct sm_file *handle, int how)
{
	int saved = errno;

	return error_of(library.sm_acquire(handle, how, NULL), saved);
}

int
client_downgrade(struct sm_file *handle)
{
	int saved = errno;

	return error_of(library.sm_downgrade(handle), saved);
}

int
client_release(struct sm_file *handle)
{
	int saved = errno;

	return error_of(library.sm_unlock(handle), saved);
}

int
client_holder(struct sm_file *handle, struct sm_holder *out)
{
	int saved = errno, error;
	unsigned taken = occupy_if_free();

	error = error_of(library.sm_holder(handle, out), saved);
	client_leave(taken);
	return error;
}

int
client_stat(struct sm_file *handle, struct sm_stat *out)
{
	int saved = errno, error;
	unsigned taken = occupy_if_free();

	error = error_of(library.sm_stat(handle, out), saved);
	client_leave(taken);
	return error;
}

void
client_attach(struct sm_file *handle)
{
	struct sm_stat s;

	if (is_standard_free)
		(void)client_stat(handle, &s);
}

const char *
client_error(void)
{
	return library.sm_error(set);
}

bool
client_says_absent(void)
{
	char text[ERROR_SIZE];

	return strstr(client_error(), strerror_r(ENOENT, text, sizeof text)) == NULL;
}
