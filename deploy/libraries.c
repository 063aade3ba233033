#include "deploy/libraries.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "deploy/lines.h"

#define LOADER "/lib64/ld-linux-x86-64.so.2"

/* What the program headers say. */
struct kind {
	bool has_interpreter; /* the loader starts it */
	bool has_dynamic;
};

static int
fail_errno(const char *path, int error)
{
	return error_message(error, "%s: %s", path, error_string(error));
}

static bool
is_x86_64(const Elf64_Ehdr *h)
{
	return memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64 &&
	    h->e_ident[EI_DATA] == ELFDATA2LSB && h->e_machine == EM_X86_64 &&
	    (h->e_type == ET_EXEC || h->e_type == ET_DYN) && h->e_phentsize == sizeof(Elf64_Phdr);
}

/* Reads size bytes at offset. Returns 0, -ENOEXEC when there are fewer, or an error of pread(2). */
static int
read_at(int fd, void *out, size_t size, uint64_t offset)
{
	ssize_t n = offset > INT64_MAX ? 0 : pread(fd, out, size, (off_t)offset);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -ENOEXEC;
}

static int
read_kind(int fd, struct kind *out)
{
	struct kind kind = { .has_interpreter = false };
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	int i, error = read_at(fd, &header, sizeof header, 0);

	if (error == 0 && !is_x86_64(&header))
		error = -ENOEXEC;
	for (i = 0; error == 0 && i < header.e_phnum; i++) {
		error = read_at(fd, &segment, sizeof segment,
		    header.e_phoff + (uint64_t)i * sizeof segment);
		if (error != 0)
			break;
		kind.has_interpreter |= segment.p_type == PT_INTERP;
		kind.has_dynamic |= segment.p_type == PT_DYNAMIC;
	}
	if (error == 0)
		*out = kind;
	return error;
}

static int
examine(const char *path, struct kind *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error;

	if (fd < 0)
		return fail_errno(path, -errno);
	error = read_kind(fd, out);
	(void)close(fd);
	if (error == -ENOEXEC || error == -ESPIPE)
		return error_message(-ENOEXEC, "%s: the file is no ELF program for x86-64", path);
	return error == 0 ? 0 : fail_errno(path, error);
}

/* Starts the loader, to list libraries; its output goes to the descriptor out. */
static int
spawn_loader(pid_t *pid, const char *path, int out)
{
	const char *search = getenv("LD_LIBRARY_PATH");
	char *argv[] = { (char *)LOADER, (char *)path, NULL };
	char *variable = NULL;
	char *environment[] = { (char *)"LD_TRACE_LOADED_OBJECTS=1", NULL, NULL };
	posix_spawn_file_actions_t actions;
	int error;

	if (search != NULL && asprintf(&variable, "LD_LIBRARY_PATH=%s", search) < 0)
		return -ENOMEM;
	if (search != NULL)
		environment[1] = variable;
	(void)posix_spawn_file_actions_init(&actions);
	error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (error == 0)
		error = posix_spawn(pid, LOADER, &actions, NULL, argv, environment);
	(void)posix_spawn_file_actions_destroy(&actions);
	free(variable);
	return -error;
}

/* Adds a library: a path of the loader, which may have a "..", as that of $ORIGIN/../lib has. */
static int
take_library(struct lines *out, const char *library)
{
	const char *name = libraries_name(library);
	char *folder, *real;

	if (strcmp(name, libraries_name(LOADER)) == 0)
		return 0;
	if (strstr(library, "/../") == NULL) {
		lines_add_once(out, library);
		return 0;
	}
	folder = strndup(library, (size_t)(name - library));
	if (folder == NULL)
		return -ENOMEM;
	real = realpath(folder, NULL);
	free(folder);
	if (real == NULL)
		return fail_errno(library, -errno);
	(void)lines_add(out, "%s/%s", real, name);
	free(real);
	return 0;
}

/*
 * Takes a line of the loader: "\tNAME => PATH (0xADDRESS)". Lines without an arrow are about the
 * loader and the kernel.
 */
static int
take_line(struct lines *out, const char *path, char *line)
{
	char *name = line + strspn(line, "\t"), *arrow = strstr(name, " => "), *end;

	if (arrow == NULL)
		return 0;
	*arrow = '\0';
	arrow += strlen(" => ");
	if (strncmp(arrow, "not found", strlen("not found")) == 0)
		return error_message(-ENOENT, "%s: the loader does not find %s", path, name);
	end = strrchr(arrow, '(');
	if (end == NULL || end == arrow)
		return 0;
	end[-1] = '\0';
	return take_library(out, arrow);
}

/* Reads all lines, also after an error: the loader must not fail because nobody reads. */
static int
take_lines(struct lines *out, const char *path, FILE *list)
{
	size_t room = 0;
	char *line = NULL;
	int error = 0;

	while (getline(&line, &room, list) >= 0)
		if (error == 0)
			error = take_line(out, path, line);
	if (error == 0 && ferror(list))
		error = -errno;
	free(line);
	return error;
}

/* Waits for the loader. Returns 0 if it has listed all. */
static int
await(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ENOEXEC;
}

/* Runs the loader; path has a slash. */
static int
run_loader(struct lines *out, const char *path)
{
	int fds[2], error, ended;
	FILE *list;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	error = spawn_loader(&pid, path, fds[1]);
	(void)close(fds[1]);
	list = error == 0 ? fdopen(fds[0], "r") : NULL;
	if (list == NULL) {
		(void)close(fds[0]);
		return error != 0 ? fail_errno(LOADER, error) : -ENOMEM;
	}
	error = take_lines(out, path, list);
	(void)fclose(list);
	ended = await(pid);
	if (error == 0 && ended != 0)
		error = error_message(ended, "%s: the loader " LOADER " cannot list its libraries",
		    path);
	return error;
}

int
libraries_list(struct lines *out, bool *is_dynamic, const char *path)
{
	struct kind kind = { .has_interpreter = false };
	char *slashed = NULL;
	int error = examine(path, &kind);

	if (error != 0)
		return error;
	/* The loader looks for a name without a slash in the libraries' directories. */
	if (strchr(path, '/') == NULL && asprintf(&slashed, "./%s", path) < 0)
		return -ENOMEM;
	if (kind.has_dynamic)
		error = run_loader(out, slashed == NULL ? path : slashed);
	free(slashed);
	if (error == 0 && is_dynamic != NULL)
		*is_dynamic = kind.has_interpreter;
	return error == 0 ? lines_error(out) : error;
}

bool
libraries_is_libc(const char *path)
{
	static const char *const names[] = { "ld-linux-x86-64.so.2", "libanl.so.1", "libc.so.6",
		"libdl.so.2", "libm.so.6", "libmvec.so.1", "libnsl.so.1", "libnss_compat.so.2",
		"libnss_db.so.2", "libnss_dns.so.2", "libnss_files.so.2", "libpthread.so.0",
		"libresolv.so.2", "librt.so.1", "libthread_db.so.1", "libutil.so.1" };
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(libraries_name(path), names[i]) == 0)
			return true;
	return false;
}

const char *
libraries_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}
