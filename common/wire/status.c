#include "common/wire/status.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The statuses of the protocol (PROTOCOL 3.1), one a line. */
static const struct {
	int error; /* the errno of this machine */
	uint32_t status;
	const char *name;
} table[] = {
	{ 0, 0, "0" },
	{ EPERM, 1, "EPERM" },
	{ ENOENT, 2, "ENOENT" },
	{ EIO, 5, "EIO" },
	{ EBADF, 9, "EBADF" },
	{ EAGAIN, 11, "EAGAIN" },
	{ ENOMEM, 12, "ENOMEM" },
	{ EACCES, 13, "EACCES" },
	{ EEXIST, 17, "EEXIST" },
	{ EINVAL, 22, "EINVAL" },
	{ ENFILE, 23, "ENFILE" },
	{ EMFILE, 24, "EMFILE" },
	{ EFBIG, 27, "EFBIG" },
	{ ENOSPC, 28, "ENOSPC" },
	{ EROFS, 30, "EROFS" },
	{ EDEADLK, 35, "EDEADLK" },
	{ ENAMETOOLONG, 36, "ENAMETOOLONG" },
	{ ENOSYS, 38, "ENOSYS" },
	{ EBADE, 52, "EBADE" },
	{ EPROTO, 71, "EPROTO" },
	{ EBADMSG, 74, "EBADMSG" },
	{ EOVERFLOW, 75, "EOVERFLOW" },
	{ EMSGSIZE, 90, "EMSGSIZE" },
	{ ETIMEDOUT, 110, "ETIMEDOUT" },
	{ ESTALE, 116, "ESTALE" },
	{ EDQUOT, 122, "EDQUOT" },
	{ ECANCELED, 125, "ECANCELED" },
};
enum { TABLE_COUNT = sizeof table / sizeof table[0] };

uint32_t
status_to_wire(int error)
{
	size_t i;

	assert(error <= 0);
	for (i = 0; i < TABLE_COUNT; i++)
		if (table[i].error == -error)
			return table[i].status;
	return status_to_wire(-EIO);
}

int
status_from_wire(uint32_t status)
{
	size_t i;

	for (i = 0; i < TABLE_COUNT; i++)
		if (table[i].status == status)
			return -table[i].error;
	return -EPROTO;
}

const char *
status_name(uint32_t status)
{
	size_t i;

	for (i = 0; i < TABLE_COUNT; i++)
		if (table[i].status == status)
			return table[i].name;
	return "?";
}

int64_t
status_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < TABLE_COUNT; i++)
		if (strcmp(table[i].name, name) == 0)
			return table[i].status;
	return -1;
}
