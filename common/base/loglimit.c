#include "common/base/loglimit.h"

#include "common/base/clock.h"

bool
loglimit_may(struct loglimit *l, uint64_t now, uint32_t *withheld)
{
	if (l->paid_until < now)
		l->paid_until = now;
	if (l->paid_until - now > (LOGLIMIT_BURST - 1) * CLOCK_SEC) {
		if (l->withheld < UINT32_MAX)
			l->withheld++;
		return false;
	}
	l->paid_until += CLOCK_SEC;
	*withheld = l->withheld;
	l->withheld = 0;
	return true;
}
