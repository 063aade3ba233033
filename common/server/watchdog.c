#include "common/server/watchdog.h"

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/server/notify.h"

enum { NS_IN_US = 1000 };

void
watchdog_init(struct watchdog *w, struct timer_queue *timers)
{
	*w = (struct watchdog){ .timers = timers };
}

static void
send_message(struct timer *t)
{
	struct watchdog *w = container_of(t, struct watchdog, timer);

	notify_try("WATCHDOG=1");
	timer_arm(w->timers, t, clock_now() + w->half_ns, send_message);
}

void
watchdog_start(struct watchdog *w)
{
	w->half_ns = notify_watchdog_us() * NS_IN_US / 2;
	if (w->half_ns != 0)
		timer_arm(w->timers, &w->timer, 0, send_message);
}

void
watchdog_fini(struct watchdog *w)
{
	timer_disarm(w->timers, &w->timer);
}
