/*
 * process: settings of the daemon's own process: hardening, malloc(3), the limit of open files.
 *
 * Hardening protects the clients' data from other users of the machine and from core dumps. It does
 * not bind the host: it reads the memory of every process that is not in an enclave.
 */
#ifndef COMMON_SERVER_PROCESS_H
#define COMMON_SERVER_PROCESS_H

#include <stdint.h>

/*
 * Turns off core dumps, and ptrace(2) by other processes of the user. Ignores SIGPIPE and SIGXFSZ:
 * a peer that is gone, and a file that may not grow (ulimit -f), are errors of write(2).
 */
void process_harden(void);

/*
 * Has large buffers mapped one by one, and unmapped when they are freed. A fixed threshold stays;
 * malloc(3) would raise its own with the first large buffer that is freed, and take all later ones
 * from the heap.
 */
void process_tune_malloc(void);

/*
 * Raises the limit of open files to what session_count sessions need; logs a warning when it
 * cannot.
 */
void process_raise_file_limit(uint32_t session_count);

#endif
