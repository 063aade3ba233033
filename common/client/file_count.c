#include <errno.h>

#include "common/base/clock.h"
#include "common/client/backend.h"
#include "common/client/file.h"
#include "common/client/mount.h"
#include "common/client/stats.h"

/* Without a server, a try tells whether there is a wait, for less than two looks at the clock. */
int
file_lock_and_count(struct file *f, struct filehandle *h, enum protocol_mode mode,
    uint64_t deadline, struct eintr *e)
{
	bool has_server = f->mount->ops->has_server, has_answered, has_waited;
	struct stats *s = f->stats;
	uint64_t begun = 0, took = 0;
	int error = -EAGAIN;

	if (!has_server)
		error = file_lock(f, h, mode, 0, e);
	if (error == -EAGAIN && (has_server || deadline != 0)) {
		begun = clock_now();
		error = file_lock(f, h, mode, deadline, e);
		took = clock_now() - begun;
	}
	has_answered = has_server && (error == 0 || error == -EAGAIN);
	has_waited = has_answered ? stats_is_wait(s, took) : begun != 0;
	if (error == 0)
		stats_add_section(s, mode == PROTOCOL_SHARED);
	if (error == 0 && has_waited)
		stats_add_wait(s, took);
	return error;
}
