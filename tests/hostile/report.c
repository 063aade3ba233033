#include "tests/hostile/report.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum { FAULTS_SIZE = 2048, ROW_SIZE = 512 };

static char faults[FAULTS_SIZE];

void
report_begin(void)
{
	faults[0] = '\0';
}

void
report_fault(const char *format, ...)
{
	size_t used = strlen(faults);
	va_list args;

	used += (size_t)snprintf(faults + used, sizeof faults - used, "\n    ");
	if (used >= sizeof faults)
		return;
	va_start(args, format);
	vsnprintf(faults + used, sizeof faults - used, format, args);
	va_end(args);
}

void
report_complaint(const char *who, const struct child_complaint *c)
{
	if (atomic_load(&c->is_made))
		report_fault("%s: %s", who, c->text);
}

static double
ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static double
mib(int64_t bytes)
{
	return (double)bytes / SIZE_MIB;
}

static void
judge_wait(const char *client, struct honest_wait w, uint64_t limit_ms)
{
	/* On a busy machine not all of what it delays is known. */
	bool is_over = patience_is_over(w.gross, limit_ms) &&
	    (!honest_is_net() || w.net > patience_net_ms(limit_ms) * CLOCK_MS);

	if (is_over)
		report_fault(
		    "the %s's worst wait: expected at most %lu ms, got %.1f ms (%.1f ms with what "
		    "the machine delayed)",
		    client, (unsigned long)limit_ms, ms(w.net), ms(w.gross));
}

void
report_judge(const struct rig *r)
{
	const struct rig_shared *s = r->shared;
	int64_t memory = RIG_MEMORY + r->attack->memory, log = RIG_LOG + r->attack->log;

	judge_wait("resident", honest_worst(&s->resident, HONEST_ATTACKED),
	    rig_is_full() ? RIG_STRICT_MS : RIG_WAIT_MS);
	if (!r->attack->keeps_newcomers_out)
		judge_wait("newcomer", honest_worst(&s->newcomer, HONEST_ATTACKED),
		    RIG_NEWCOMER_MS);
	if (r->peak > memory && !patience_is_sanitized())
		report_fault("the server's memory: expected at most %.0f MiB more, got %.0f MiB",
		    mib(memory), mib(r->peak));
	if ((int64_t)r->log > log)
		report_fault("the server's log: expected at most %ld KiB, got %ld KiB",
		    (long)log / 1024, (long)r->log / 1024);
}

/* The columns are those of the heading that tests/hostile/table prints. */
static void
write_row(const struct rig *r)
{
	const struct rig_shared *s = r->shared;
	const char *path = getenv("HOSTILE_TABLE");
	char row[ROW_SIZE];
	FILE *f;

	snprintf(row, sizeof row, "%-44s %-6s %7.1f %8.1f %8.1f %8.1f %8.1f %8lu %7lu  %s",
	    r->attack->name, r->daemon.config.is_smuf ? "smuf" : "smdish",
	    ms(honest_worst(&s->resident, HONEST_CALM).net),
	    ms(honest_worst(&s->resident, HONEST_ATTACKED).net),
	    ms(honest_p999(&s->resident, HONEST_ATTACKED)),
	    ms(honest_worst(&s->newcomer, HONEST_ATTACKED).net), mib(r->peak),
	    atomic_load(&s->attempts), atomic_load(&s->ended), faults[0] == '\0' ? "ok" : "FAILED");
	print_message("%s\n", row);
	f = path == NULL ? NULL : fopen(path, "ae");
	if (f == NULL)
		return;
	fprintf(f, "%s\n", row);
	fclose(f);
}

void
report_end(const struct rig *r)
{
	write_row(r);
	if (faults[0] == '\0')
		return;
	daemon_log_show(&r->daemon, 0);
	fail_msg("%s, %s:%s", r->attack->name, r->daemon.config.is_smuf ? "smuf" : "smdish",
	    faults);
}
