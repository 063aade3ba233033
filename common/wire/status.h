/*
 * status: turns an internal error into a status of the wire protocol and back (PROTOCOL 3.1), in
 * one place.
 *
 * Inside, an error is 0 or a negative errno of this machine. On the wire it is a Linux errno with
 * the numbers of x86, whatever machine either end runs on. A number from the wire that is no status
 * of the protocol becomes -EPROTO: a peer cannot make this end return an errno of its choosing.
 */
#ifndef COMMON_WIRE_STATUS_H
#define COMMON_WIRE_STATUS_H

#include <stdint.h>

/* The status of error, 0 or a negative errno; EIO for an errno that the protocol does not have. */
uint32_t status_to_wire(int error);

/* The error of a status: 0 or a negative errno; -EPROTO for a number that is no status. */
int status_from_wire(uint32_t status);

/* "EAGAIN" for 11, "0" for 0, "?" for a number that is no status; static, for logs and tests. */
const char *status_name(uint32_t status);

/* The number of a status by its name, or -1. */
int64_t status_by_name(const char *name);

#endif
