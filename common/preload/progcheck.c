#include "common/preload/progcheck.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPTS_MOST = 4 };

struct image {
	const char *path;
	const uint8_t *bytes;
	size_t size;
	struct stat st;
};

/* Functions by which programs share memory or locks that memory files have not. */
static const char *const other_ways[] = { "pthread_mutexattr_setpshared", "sem_open", "shm_open",
	"shmget", "io_uring_queue_init", "io_uring_setup" };

static int
open_image(struct image *i, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;
	void *bytes = MAP_FAILED;

	*i = (struct image){ .path = path };
	if (fd == -1)
		return -errno;
	if (fstat(fd, &i->st) != 0)
		error = -errno;
	else if (!S_ISREG(i->st.st_mode) || i->st.st_size == 0)
		error = -ENOEXEC;
	if (error == 0)
		bytes = mmap(NULL, (size_t)i->st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (error == 0 && bytes == MAP_FAILED)
		error = -errno;
	(void)close(fd);
	if (error != 0)
		return error;
	i->bytes = bytes;
	i->size = (size_t)i->st.st_size;
	return 0;
}

static void
close_image(struct image *i)
{
	if (i->bytes != NULL)
		(void)munmap((void *)i->bytes, i->size);
}

/* The program header of that type and those flags, from number *next on; NULL: there is none. */
static const ElfW(Phdr) *
    find_header(const struct image *i, uint32_t type, uint32_t flags, unsigned *next)
{
	const ElfW(Ehdr) *e = (const void *)i->bytes;
	const ElfW(Phdr) * p;

	if (e->e_phentsize != sizeof *p || e->e_phoff > i->size ||
	    e->e_phnum > (i->size - e->e_phoff) / sizeof *p ||
	    e->e_phoff % _Alignof(ElfW(Phdr)) != 0)
		return NULL;
	p = (const void *)(i->bytes + e->e_phoff);
	for (; *next < e->e_phnum; ++*next) {
		const ElfW(Phdr) *found = &p[*next];

		if (found->p_type == type && (found->p_flags & flags) == flags &&
		    found->p_offset <= i->size && found->p_filesz <= i->size - found->p_offset) {
			++*next;
			return found;
		}
	}
	return NULL;
}

/* The interpreter's path in the file, NUL and all; NULL: none. */
static const char *
find_interpreter(const struct image *i)
{
	unsigned next = 0;
	const ElfW(Phdr) *p = find_header(i, PT_INTERP, 0, &next);
	const char *path;

	if (p == NULL || p->p_filesz == 0)
		return NULL;
	path = (const char *)i->bytes + p->p_offset;
	return path[p->p_filesz - 1] == '\0' ? path : NULL;
}

/* The same of the program that runs. */
static const char *
own_interpreter(void)
{
	static struct image self;

	if (self.bytes == NULL && open_image(&self, "/proc/self/exe") != 0)
		return NULL;
	return find_interpreter(&self);
}

static bool
is_elf_of_this_machine(const struct image *i)
{
	const ElfW(Ehdr) *e = (const void *)i->bytes;
	const ElfW(Ehdr) *own = (const void *)getauxval(AT_SYSINFO_EHDR);

	return i->size >= sizeof *e && memcmp(e->e_ident, ELFMAG, SELFMAG) == 0 &&
	    e->e_ident[EI_CLASS] == ELFCLASS64 && (own == NULL || e->e_machine == own->e_machine);
}

/*
 * Counts system calls as compilers and runtimes write them for this machine: the instruction, and
 * closely behind it a comparison of the result with -4095.
 */
static unsigned
count_system_calls(const struct image *i)
{
	static const uint8_t call[] = { 0x0f, 0x05 };
	static const uint8_t compare[] = { 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff };
	enum { CLOSE = 16 };
	const uint8_t *at, *end;
	const ElfW(Phdr) * p;
	unsigned next = 0, count = 0;

	while ((p = find_header(i, PT_LOAD, PF_X, &next)) != NULL) {
		at = i->bytes + p->p_offset;
		end = at + p->p_filesz;
		while ((at = memmem(at, (size_t)(end - at), call, sizeof call)) != NULL) {
			at += sizeof call;
			if (end - at >= CLOSE && memmem(at, CLOSE, compare, sizeof compare) != NULL)
				count++;
		}
	}
	return count;
}

/* True when name is in the file with a NUL before and behind it, as in a table of symbols. */
static bool
mentions(const struct image *i, const char *name)
{
	char text[64] = "";
	size_t length = strlen(name);

	memcpy(text + 1, name, length);
	return memmem(i->bytes, i->size, text, length + 2) != NULL;
}

static void
warn_of_other_ways(const struct image *i, FILE *out)
{
	unsigned count = count_system_calls(i);
	size_t n;

	if (count > 0)
		fprintf(out,
		    "%s: makes system calls of its own in %u places, which are not served\n",
		    i->path, count);
	for (n = 0; n < sizeof other_ways / sizeof other_ways[0]; n++)
		if (mentions(i, other_ways[n]))
			fprintf(out, "%s: uses %s, which memory files do not have\n", i->path,
			    other_ways[n]);
}

/* True when the kernel starts the program without LD_PRELOAD. */
static bool
has_privileges(const struct image *i)
{
	bool is_other_user = (i->st.st_mode & S_ISUID) != 0 && i->st.st_uid != getuid();
	bool is_other_group = (i->st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    i->st.st_gid != getgid();

	return is_other_user || is_other_group ||
	    getxattr(i->path, "security.capability", NULL, 0) > 0;
}

/* Returns 0 when it is served, or 1. */
static int
check_program(const struct image *i, FILE *out)
{
	const char *interpreter, *own = own_interpreter();

	if (!is_elf_of_this_machine(i)) {
		fprintf(out, "%s: not a program of this machine\n", i->path);
		return 1;
	}
	interpreter = find_interpreter(i);
	if (interpreter == NULL) {
		fprintf(out, "%s: linked statically: no preloaded library reaches it\n", i->path);
		return 1;
	}
	if (own != NULL && strcmp(interpreter, own) != 0) {
		fprintf(out, "%s: has another C library (%s)\n", i->path, interpreter);
		return 1;
	}
	if (has_privileges(i)) {
		fprintf(out, "%s: gets privileges when it starts, and so no preloaded library\n",
		    i->path);
		return 1;
	}
	warn_of_other_ways(i, out);
	fprintf(out, "%s: linked dynamically: served\n", i->path);
	return 0;
}

/* The interpreter of a script, "#! /path argument"; false when i is none. */
static bool
read_script(const struct image *i, char interpreter[PATH_MAX])
{
	const char *at = (const char *)i->bytes + 2, *end = (const char *)i->bytes + i->size;
	size_t n = 0;

	if (i->size < 3 || memcmp(i->bytes, "#!", 2) != 0)
		return false;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (at < end && n < PATH_MAX - 1 && strchr(" \t\r\n", *at) == NULL)
		interpreter[n++] = *at++;
	interpreter[n] = '\0';
	return n > 0;
}

int
progcheck_run(const char *path, FILE *out)
{
	char interpreter[PATH_MAX], name[PATH_MAX];
	int error = 0, depth;
	struct image i;

	for (depth = 0; depth < SCRIPTS_MOST; depth++) {
		error = open_image(&i, path);
		if (error != 0)
			return error;
		if (!read_script(&i, interpreter)) {
			error = check_program(&i, out);
			close_image(&i);
			return error;
		}
		fprintf(out, "%s: a script of %s\n", path, interpreter);
		close_image(&i);
		path = strcpy(name, interpreter);
	}
	return -ELOOP;
}
