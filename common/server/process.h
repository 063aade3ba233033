/*
 * process: the settings of the daemon's own process.
 */
#ifndef COMMON_SERVER_PROCESS_H
#define COMMON_SERVER_PROCESS_H

#include <stdint.h>

/*
 * Turns off core dumps and ptrace(2) by others: the memory has the plaintext of clients. Ignores
 * SIGPIPE. None of this binds the host: it can read the memory of any process that is not in an
 * enclave.
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
