#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/ending.h"
#include "common/preload/mountpoints.h"
#include "common/preload/next.h"

int calls_execve(const char *path, char *const argv[], char *const env[]) CALLS_AS(execve);
int calls_execv(const char *path, char *const argv[]) CALLS_AS(execv);
int calls_execvp(const char *file, char *const argv[]) CALLS_AS(execvp);
int calls_execvpe(const char *file, char *const argv[], char *const env[]) CALLS_AS(execvpe);
int calls_fexecve(int fd, char *const argv[], char *const env[]) CALLS_AS(fexecve);
int calls_execveat(int dirfd, const char *path, char *const argv[], char *const env[], int flags)
    CALLS_AS(execveat);
int calls_execl(const char *path, const char *argument, ...) CALLS_AS(execl);
int calls_execlp(const char *file, const char *argument, ...) CALLS_AS(execlp);
int calls_execle(const char *path, const char *argument, ...) CALLS_AS(execle);
int calls_daemon(int keeps_directory, int keeps_standard) CALLS_AS(daemon);
void calls_exit_now(int status) CALLS_AS(_exit) __attribute__((noreturn));
void calls_Exit(int status) CALLS_AS(_Exit) __attribute__((noreturn));

/* Before another library's constructor asks, in most programs: the working directory may change. */
static void __attribute__((constructor)) start(void)
{
	mountpoints_read();
}

/* The program at path is about to take this one's place, if it can be executed. */
static void
publish_before(const char *path)
{
	if (description_end() > 0 && NEXT(access)(path, X_OK) == 0)
		ending_publish();
}

int
calls_execve(const char *path, char *const argv[], char *const env[])
{
	publish_before(path);
	return NEXT(execve)(path, argv, env);
}

int
calls_execv(const char *path, char *const argv[])
{
	publish_before(path);
	return NEXT(execv)(path, argv);
}

int
calls_execvp(const char *file, char *const argv[])
{
	ending_publish();
	return NEXT(execvp)(file, argv);
}

int
calls_execvpe(const char *file, char *const argv[], char *const env[])
{
	ending_publish();
	return NEXT(execvpe)(file, argv, env);
}

int
calls_fexecve(int fd, char *const argv[], char *const env[])
{
	ending_publish();
	return NEXT(fexecve)(fd, argv, env);
}

int
calls_execveat(int dirfd, const char *path, char *const argv[], char *const env[], int flags)
{
	ending_publish();
	return NEXT(execveat)(dirfd, path, argv, env, flags);
}

/* The number of arguments, with the NULL that ends them. */
static size_t
count_arguments(const char *first, va_list *args)
{
	size_t n = 1;

	while (first != NULL) {
		first = va_arg(*args, const char *);
		n++;
	}
	return n;
}

/* Copies them to argv. */
static void
copy_arguments(char **argv, const char *first, va_list *args)
{
	*argv = (char *)first;
	while (*argv != NULL)
		*++argv = va_arg(*args, char *);
}

typedef int execute_function(const char *program, char *const argv[], char *const env[]);

/* Executes program with first and args as arguments; has_env: args end with an environment. */
static int
execute_list(execute_function *execute, const char *program, const char *first, va_list *args,
    bool has_env)
{
	char *const *env = environ;
	va_list counted;
	char **argv;

	va_copy(counted, *args);
	argv = __builtin_alloca(count_arguments(first, &counted) * sizeof *argv);
	va_end(counted);
	copy_arguments(argv, first, args);
	if (has_env)
		env = va_arg(*args, char *const *);
	return execute(program, argv, env);
}

int
calls_execl(const char *path, const char *argument, ...)
{
	va_list args;
	int result;

	va_start(args, argument);
	result = execute_list(calls_execve, path, argument, &args, false);
	va_end(args);
	return result;
}

int
calls_execlp(const char *file, const char *argument, ...)
{
	va_list args;
	int result;

	va_start(args, argument);
	result = execute_list(calls_execvpe, file, argument, &args, false);
	va_end(args);
	return result;
}

int
calls_execle(const char *path, const char *argument, ...)
{
	va_list args;
	int result;

	va_start(args, argument);
	result = execute_list(calls_execve, path, argument, &args, true);
	va_end(args);
	return result;
}

/* Within the C library, the parent ends and the child changes its directory. */
int
calls_daemon(int keeps_directory, int keeps_standard)
{
	int result;

	ending_publish();
	result = NEXT(daemon)(keeps_directory, keeps_standard);
	mountpoints_forget_directory();
	return result;
}

void
calls_exit_now(int status)
{
	ending_publish();
	NEXT(_exit)(status);
	__builtin_unreachable();
}

void
calls_Exit(int status)
{
	calls_exit_now(status);
}
