#include "common/preload/ending.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/preload/description.h"
#include "common/preload/process.h"

void
ending_publish(void)
{
	if (description_end() == 0 || process_is_inside() || !process_is_home())
		return;
	process_enter();
	description_drop_all();
	process_leave();
}

static void
end(void)
{
	if (process_is_inside() || !process_is_home())
		return;
	process_enter();
	description_end_all();
	process_leave();
}

void
ending_arm(void)
{
	static atomic_flag is_armed = ATOMIC_FLAG_INIT;

	if (atomic_flag_test_and_set(&is_armed))
		return;
	(void)atexit(end);
	(void)at_quick_exit(end);
}
