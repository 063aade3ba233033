#include "deploy/smstat/amount.h"

#include <stdio.h>

const char *
amount_bytes(char out[AMOUNT_SIZE], double bytes)
{
	static const char units[] = "KMGTPE";
	int unit = -1;

	/* What would be rounded to 1024 is one of the next unit. */
	for (; bytes >= 1023.5 && units[unit + 1] != '\0'; unit++)
		bytes /= 1024;
	if (unit < 0)
		(void)snprintf(out, AMOUNT_SIZE, "%.0f", bytes);
	else
		(void)snprintf(out, AMOUNT_SIZE, "%.*f%c", bytes < 9.95, bytes, units[unit]);
	return out;
}

const char *
amount_rate(char out[AMOUNT_SIZE], double n)
{
	(void)snprintf(out, AMOUNT_SIZE, "%.*f", n > 0 && n < 9.95, n);
	return out;
}

const char *
amount_time(char out[AMOUNT_SIZE], uint64_t ms)
{
	uint64_t s = ms / 1000, m = s / 60, h = m / 60;

	if (s == 0)
		(void)snprintf(out, AMOUNT_SIZE, "%ums", (unsigned)ms);
	else if (m == 0)
		(void)snprintf(out, AMOUNT_SIZE, "%u.%us", (unsigned)s,
		    (unsigned)(ms % 1000 / 100));
	else if (h == 0)
		(void)snprintf(out, AMOUNT_SIZE, "%um%02us", (unsigned)m, (unsigned)(s % 60));
	else if (h < 24)
		(void)snprintf(out, AMOUNT_SIZE, "%uh%02um", (unsigned)h, (unsigned)(m % 60));
	else
		(void)snprintf(out, AMOUNT_SIZE, "%llud%02uh", (unsigned long long)(h / 24),
		    (unsigned)(h % 24));
	return out;
}
