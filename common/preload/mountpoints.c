#include "common/preload/mountpoints.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/preload/mountwords.h"
#include "common/preload/process.h"
#include "common/preload/report.h"

enum { FILE_SIZE_MOST = 1024 * 1024 };

/*
 * A relative path reaches a mount point by so many "..", and then with the rest of the mount point
 * behind the directory that both have in common.
 */
enum { WAY_UNKNOWN = -1, WAY_NONE = -2, WAY_UP_BITS = 8, WAY_UP_MOST = (1 << WAY_UP_BITS) - 1 };

struct point {
	const char *path; /* absolute, without a slash at the end */
	atomic_int way;   /* the rest's offset and, in the low WAY_UP_BITS, the ".."; or WAY_* */
};

atomic_int mountpoints_state = MOUNTPOINTS_UNREAD;

uint64_t mountpoints_first[UCHAR_MAX + 1], mountpoints_second[UCHAR_MAX + 1];

static struct point points[MOUNTPOINTS_MOST];
static size_t count;
static char texts[MOUNTPOINTS_SIZE];
static size_t used; /* of texts */
static char conf[PATH_MAX];
static bool is_faulty; /* a line was told */

/* Writes path without ".", ".." and repeated slashes. It is absolute and fits. */
static void
normalize(const char *path, char out[PATH_MAX])
{
	size_t n = 0, length;

	while (*path != '\0') {
		path += strspn(path, "/");
		length = strcspn(path, "/");
		if (length == 2 && path[0] == '.' && path[1] == '.') {
			while (n > 0 && out[--n] != '/')
				continue;
		} else if (length > 0 && !(length == 1 && path[0] == '.')) {
			out[n++] = '/';
			memmove(out + n, path, length);
			n += length;
		}
		path += length;
	}
	out[n] = '\0';
}

/* The same for any path. Returns false when it is too long, or nobody knows where it begins. */
static bool
make_absolute(const char *path, char out[PATH_MAX])
{
	char whole[PATH_MAX];
	long length = 0;

	if (path[0] != '/') {
		length = syscall(SYS_getcwd, whole, sizeof whole);
		if (length <= 0 || whole[0] != '/')
			return false;
		whole[length - 1] = '/';
	}
	if (strlen(path) >= sizeof whole - (size_t)length)
		return false;
	strcpy(whole + length, path);
	normalize(whole, out);
	return true;
}

/* Enters the point of that number, which begins with these two bytes, into the tables. */
static void
enter(size_t number, unsigned char first, unsigned char second)
{
	uint64_t bit = UINT64_C(1) << number;

	mountpoints_first[first] |= bit;
	mountpoints_second[second] |= bit;
	/* The point may be of one byte: "/m". */
	if (second == '\0')
		mountpoints_second['/'] |= bit;
}

/* "//shared" and "/./shared" are rare: mountpoints_find() looks at them closely. */
static void
enter_unusual(void)
{
	const uint64_t bit = UINT64_C(1) << MOUNTPOINTS_MOST;
	unsigned i;

	mountpoints_first['/'] |= bit;
	mountpoints_first['.'] |= bit;
	for (i = 0; i <= UCHAR_MAX; i++)
		mountpoints_second[i] |= bit;
}

/* Adds the mount point that a MOUNT line names. */
static void
add(const char *word)
{
	char path[PATH_MAX];
	size_t length;

	if (word[0] != '/' || strlen(word) >= sizeof path)
		return;
	normalize(word, path);
	length = strlen(path);
	if (length == 0) {
		report(conf, "a mount point must not be /");
		return;
	}
	if (count == MOUNTPOINTS_MOST || length >= sizeof texts - used) {
		report(conf, "too many mount points: %s is not served", word);
		return;
	}
	points[count].path = strcpy(texts + used, path);
	enter(count, (unsigned char)path[1], (unsigned char)path[2]);
	atomic_store(&points[count++].way, WAY_UNKNOWN);
	used += length + 1;
}

/* Reads up to size bytes. Returns how many there were, or a negative errno. */
static long
read_all(const char *path, char *bytes, size_t size)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), n = 1;
	size_t have = 0;

	if (fd < 0)
		return -errno;
	while (n > 0 && have < size) {
		n = syscall(SYS_read, (int)fd, bytes + have, size - have);
		have += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		n = -errno;
	(void)syscall(SYS_close, (int)fd);
	return n < 0 ? n : (long)have;
}

/* Takes a line of the mount file. The first fault is told: the client library stops there, too. */
static void
take(void *arg, const struct mountwords_line *line)
{
	(void)arg;
	if (line->fault != NULL && !is_faulty) {
		report(NULL, "%.256s:%u: %s: no memory file can be opened", conf, line->number,
		    line->fault);
		is_faulty = true;
	}
	if (line->point != NULL)
		add(line->point);
}

/* Reads the mount file into bytes. */
static void
load_into(char bytes[FILE_SIZE_MOST + 1])
{
	long size = read_all(conf, bytes, FILE_SIZE_MOST + 1);

	if (size < 0) {
		report(conf, "the mount file cannot be read, nothing is served: %s",
		    strerror((int)-size));
		return;
	}
	if (size > FILE_SIZE_MOST)
		report(conf, "the mount file is too large: no memory file can be opened");
	mountwords_each_mount(bytes, (size_t)size, take, NULL);
	if (count == 0)
		report(conf, "there is no mount in the mount file: nothing is served");
}

static void
load(const char *path)
{
	const size_t size = FILE_SIZE_MOST + 1;
	char *bytes = (char *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, (off_t)0);

	if (bytes == MAP_FAILED) {
		report(path, "no memory for the mount file: nothing is served");
		return;
	}
	if (make_absolute(path, conf))
		load_into(bytes);
	else
		report(path, "the mount file has no absolute path: nothing is served");
	(void)syscall(SYS_munmap, bytes, size);
}

void
mountpoints_read(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	const char *path = secure_getenv("SM_CONF");
	int saved = errno;

	(void)pthread_mutex_lock(&mutex);
	if (atomic_load(&mountpoints_state) == MOUNTPOINTS_UNREAD) {
		if (path != NULL && path[0] != '\0')
			load(path);
		if (count > 0) {
			enter_unusual();
			process_begin();
		}
		atomic_store(&mountpoints_state, count > 0 ? MOUNTPOINTS_SOME : MOUNTPOINTS_NONE);
	}
	(void)pthread_mutex_unlock(&mutex);
	errno = saved;
}

/* The way from directory to the point. */
static int
way_of(const struct point *p, const char *directory)
{
	int common = 0, i, up = 0;

	for (i = 0; directory[i] != '\0' && directory[i] == p->path[i]; i++)
		if (directory[i] == '/')
			common = i;
	if (directory[i] == '\0' && p->path[i] == '/')
		common = i;
	else if (directory[i] == '/' && p->path[i] == '\0')
		return WAY_NONE; /* below the point, where the kernel has nothing */
	for (i = common; directory[i] != '\0'; i++)
		up += directory[i] == '/';
	return up <= WAY_UP_MOST ? (common + 1) << WAY_UP_BITS | up : WAY_NONE;
}

/* Asks for the working directory, and notes the way from there to each mount point. */
static void
learn_directory(void)
{
	int saved = errno, way;
	char directory[PATH_MAX];
	bool is_known = make_absolute(".", directory);
	struct point *p;

	for (p = points; p < points + count; p++) {
		way = is_known ? way_of(p, directory) : WAY_NONE;
		atomic_store_explicit(&p->way, way, memory_order_relaxed);
	}
	errno = saved;
}

/* Skips what path and point have in common. True when path is the point, or below it. */
static inline bool
skip_common(const char **path, const char *point)
{
	const char *next = *path;

	while (*point != '\0' && *point == *next) {
		point++;
		next++;
	}
	*path = next;
	return *point == '\0' && (*next == '\0' || *next == '/');
}

/* Also true where a "/" or a "." too many follows a "/": mountpoints_find() takes them away. */
static inline bool
may_begin_as(const char *path, const char *point)
{
	const char *next = path;

	if (skip_common(&next, point))
		return true;
	return (*next == '/' || *next == '.') && (next == path || next[-1] == '/');
}

/* Skips "./" and "../" at the path's begin. Returns how many of the latter there were. */
static int
skip_up(const char **path)
{
	const char *next = *path;
	int up = 0;

	while (next[0] == '.') {
		if (next[1] == '/') {
			next += 2;
		} else if (next[1] == '.' && next[2] == '/') {
			next += 3;
			up++;
		} else {
			break;
		}
		while (*next == '/')
			next++;
	}
	*path = next;
	return up;
}

static bool
compare_relative(const char *path)
{
	int up = skip_up(&path), way;
	struct point *p;

	for (p = points; p < points + count; p++) {
		way = atomic_load_explicit(&p->way, memory_order_relaxed);
		if (way == WAY_UNKNOWN) {
			learn_directory();
			way = atomic_load_explicit(&p->way, memory_order_relaxed);
		}
		if (way == WAY_NONE || up < (way & WAY_UP_MOST))
			continue;
		/* At the root, more ".." lead nowhere else: mountpoints_find() knows. */
		if (up > (way & WAY_UP_MOST) || may_begin_as(path, p->path + (way >> WAY_UP_BITS)))
			return true;
	}
	return false;
}

bool
mountpoints_compare(const char *path)
{
	const struct point *p;

	if (atomic_load_explicit(&mountpoints_state, memory_order_acquire) == MOUNTPOINTS_UNREAD)
		mountpoints_read();
	if (path[0] != '/')
		return compare_relative(path);
	if (path[1] == '/' || path[1] == '.')
		return count > 0;
	for (p = points; p < points + count; p++)
		if (may_begin_as(path, p->path))
			return true;
	return false;
}

enum mountpoints_place
mountpoints_find(const char *path, char out[PATH_MAX])
{
	const struct point *p;
	const char *next;
	int saved = errno;

	if (!make_absolute(path, out)) {
		errno = saved;
		return MOUNTPOINTS_ELSEWHERE;
	}
	for (p = points; p < points + count; p++) {
		next = out;
		if (skip_common(&next, p->path))
			return *next == '\0' ? MOUNTPOINTS_AT : MOUNTPOINTS_BELOW;
	}
	return MOUNTPOINTS_ELSEWHERE;
}

void
mountpoints_forget_directory(void)
{
	struct point *p;

	for (p = points; p < points + count; p++)
		atomic_store_explicit(&p->way, WAY_UNKNOWN, memory_order_relaxed);
}

const char *
mountpoints_file(void)
{
	return conf;
}
