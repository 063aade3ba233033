/*
 * process: child processes that never outlive their parent, the core that they share, and the
 * programs that they execute.
 *
 * The kernel kills a child when the thread that forked it ends, however that thread ends, so that
 * a killed benchmark leaves no process running. A child that executes another program keeps that
 * property. A system without prctl(2) (a library OS) does not kill it.
 */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <limits.h>
#include <sys/types.h>

/*
 * Forks. Returns 0 with the child's id in *out (0 in the child), or a negative errno. Flushes stdio
 * first, so that the child does not print the parent's buffers again.
 */
int process_fork(pid_t *out);

/* Waits until a child ends. Returns process_exit_status() of it, or a negative errno. */
int process_wait(pid_t pid);

/* Turns a status of waitpid(2) into an exit status: 128 plus the signal's number for a signal. */
int process_exit_status(int status);

/* Kills a child and waits until it has ended. -1 is no child. */
void process_kill(pid_t pid);

/*
 * Pins this process, and every process that it forks later, to the highest core that it may use:
 * the lowest core often serves the machine's interrupts. Figures of one core (DESIGN 10) count work
 * and context switches, not how two cores wake each other. Returns the core's number or a negative
 * errno.
 */
int process_pin(void);

/* "pinned to core 1", or "not pinned" for a negative number; in a static buffer. */
const char *process_pin_text(int core);

/*
 * Finds an executable file for execv(2) and writes its path to out. Looks in places first:
 * directories relative to smbench's own, NULL ends the list. That way a freshly built tree
 * measures its own servers and not the installed ones. Looks in $PATH last. Returns 0, -ENOENT or
 * another negative errno.
 */
int process_find(char out[PATH_MAX], const char *name, const char *const *places);

#endif
