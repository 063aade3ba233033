#include "deploy/smstat/metrics.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/escape.h"
#include "deploy/smstat/observer.h"

/* A metric: its values are integers, with the point so many decimals from the right. */
struct metric {
	const char *name, *type, *help;
	unsigned decimals;
};

enum server_metric {
	UPTIME,
	SESSIONS,
	HANDSHAKES,
	FILES,
	SEGMENTS,
	SEGMENTS_LIMIT,
	MEMORY,
	MEMORY_LIMIT,
	REQUESTS,
	SERVER_SECTIONS,
	LINES_LOST,
	LONGEST_TURN,
	SERVER_METRICS
};

static const struct metric server_metrics[SERVER_METRICS] = {
	[UPTIME] = { "uptime_seconds", "gauge", "Time since the server began to serve.", 3 },
	[SESSIONS] = { "sessions", "gauge", "Sessions.", 0 },
	[HANDSHAKES] = { "handshakes", "gauge", "TLS handshakes under way.", 0 },
	[FILES] = { "files", "gauge", "Memory files.", 0 },
	[SEGMENTS] = { "segments_bytes", "gauge", "Charged for segments.", 0 },
	[SEGMENTS_LIMIT] = { "segments_limit_bytes", "gauge", "The limit of segments, -m.", 0 },
	[MEMORY] = { "memory_bytes", "gauge", "Requests, replies and tables.", 0 },
	[MEMORY_LIMIT] = { "memory_limit_bytes", "gauge", "The limit of that, -B.", 0 },
	[REQUESTS] = { "requests_total", "counter", "Requests that were executed.", 0 },
	[SERVER_SECTIONS] = { "sections_total", "counter", "Critical sections of all files.", 0 },
	[LINES_LOST] = { "log_lines_lost_total", "counter", "Lines of the log that were lost.", 0 },
	[LONGEST_TURN] = { "longest_turn_seconds", "gauge", "The longest turn of a peer.", 6 },
};

enum file_metric {
	SIZE,
	COMMITTED,
	VERSION,
	OPENS,
	WAITERS,
	HELD,
	SECTIONS,
	GRANTED,
	RELEASED,
	WAITED,
	FILE_METRICS
};

static const struct metric file_metrics[FILE_METRICS] = {
	[SIZE] = { "file_size_bytes", "gauge", "The segment of the memory file.", 0 },
	[COMMITTED] = { "file_committed_bytes", "gauge", "What of it has memory.", 0 },
	[VERSION] = { "file_version", "gauge", "The version of the segment.", 0 },
	[OPENS] = { "file_opens", "gauge", "Descriptors that are open.", 0 },
	[WAITERS] = { "file_waiters", "gauge", "Clients that wait for the lock.", 0 },
	[HELD] = { "file_held_seconds", "gauge", "How long the holder has the lock; 0: free.", 3 },
	[SECTIONS] = { "file_sections_total", "counter", "Critical sections.", 0 },
	[GRANTED] = { "file_granted_bytes_total", "counter", "Sent with grants.", 0 },
	[RELEASED] = { "file_released_bytes_total", "counter", "Received with releases.", 0 },
	[WAITED] = { "file_waited_seconds_total", "counter", "Waited for the lock, by all.", 3 },
};

/* A server's files that are shown, by name. */
struct names {
	const struct inspect_file **at;
	size_t count;
};

static int
compare_names(const struct inspect_file *f, const struct inspect_file *g)
{
	size_t common = f->name.size < g->name.size ? f->name.size : g->name.size;
	int order = common == 0 ? 0 : memcmp(f->name.data, g->name.data, common);

	return order != 0 ? order : (int)f->name.size - (int)g->name.size;
}

/* By name, the newest of a name first. */
static int
compare(const void *a, const void *b)
{
	const struct inspect_file *f = *(const struct inspect_file *const *)a;
	const struct inspect_file *g = *(const struct inspect_file *const *)b;
	int order = compare_names(f, g);

	return order != 0 ? order : f->key > g->key ? -1 : f->key < g->key;
}

/* Lists one file of each name. Returns 0 or -ENOMEM. */
static int
list_names(struct names *n, const struct observer *o)
{
	size_t i, kept = 0, count = o->now == NULL ? 0 : o->now->file_count;

	n->at = calloc(count + 1, sizeof *n->at);
	if (n->at == NULL)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		n->at[i] = &o->now->files[i];
	qsort(n->at, count, sizeof *n->at, compare);
	for (i = 0; i < count; i++)
		if (kept == 0 || compare_names(n->at[kept - 1], n->at[i]) != 0)
			n->at[kept++] = n->at[i];
	n->count = kept;
	return 0;
}

static uint64_t
server_value(const struct inspect_server *s, enum server_metric m)
{
	const uint64_t values[SERVER_METRICS] = {
		[UPTIME] = s->uptime_ms,
		[SESSIONS] = s->sessions,
		[HANDSHAKES] = s->handshakes,
		[FILES] = s->files,
		[SEGMENTS] = s->segments,
		[SEGMENTS_LIMIT] = s->segments_limit,
		[MEMORY] = s->memory,
		[MEMORY_LIMIT] = s->memory_limit,
		[REQUESTS] = s->requests,
		[SERVER_SECTIONS] = s->grants,
		[LINES_LOST] = s->lines_lost,
		[LONGEST_TURN] = s->longest_turn_us,
	};

	return values[m];
}

static uint64_t
file_value(const struct inspect_file *f, enum file_metric m)
{
	const uint64_t values[FILE_METRICS] = {
		[SIZE] = f->stat.size,
		[COMMITTED] = f->stat.committed,
		[VERSION] = f->stat.version,
		[OPENS] = f->stat.open_count,
		[WAITERS] = f->stat.waiters,
		[HELD] = f->held_ms,
		[SECTIONS] = f->stat.grants,
		[GRANTED] = f->bytes_granted,
		[RELEASED] = f->bytes_released,
		[WAITED] = f->waited_ms,
	};

	return values[m];
}

static void
put_head(FILE *to, const struct metric *m)
{
	(void)fprintf(to, "# HELP memserver_%s %s\n", m->name, m->help);
	(void)fprintf(to, "# TYPE memserver_%s %s\n", m->name, m->type);
}

/* Writes a sample of a server, or of a file of it. */
static void
put_sample(FILE *to, const struct metric *m, const struct observer *o, const struct inspect_file *f,
    uint64_t value)
{
	const char *address = o->server->target.addr->text;
	uint64_t unit = 1;
	unsigned i;

	for (i = 0; i < m->decimals; i++)
		unit *= 10;
	(void)fprintf(to, "memserver_%s{server=", m->name);
	escape_quote(to, address, strlen(address));
	if (f != NULL) {
		(void)fputs(",file=", to);
		escape_quote(to, f->name.data, f->name.size);
	}
	(void)fprintf(to, "} %llu", (unsigned long long)(value / unit));
	if (m->decimals > 0)
		(void)fprintf(to, ".%0*llu", (int)m->decimals, (unsigned long long)(value % unit));
	(void)fputc('\n', to);
}

static void
put_up(FILE *to, const struct observer *observers, size_t count)
{
	static const struct metric up = { "up", "gauge", "1: the server answers.", 0 };
	size_t i;

	put_head(to, &up);
	for (i = 0; i < count; i++)
		put_sample(to, &up, &observers[i], NULL, observers[i].now != NULL);
}

static void
put_servers(FILE *to, const struct observer *observers, size_t count)
{
	size_t i;
	int m;

	for (m = 0; m < SERVER_METRICS; m++) {
		put_head(to, &server_metrics[m]);
		for (i = 0; i < count; i++)
			if (observers[i].now != NULL)
				put_sample(to, &server_metrics[m], &observers[i], NULL,
				    server_value(&observers[i].now->server, m));
	}
}

static void
put_files(FILE *to, const struct observer *observers, const struct names *names, size_t count)
{
	size_t i, j;
	int m;

	for (m = 0; m < FILE_METRICS; m++) {
		put_head(to, &file_metrics[m]);
		for (i = 0; i < count; i++)
			for (j = 0; j < names[i].count; j++)
				put_sample(to, &file_metrics[m], &observers[i], names[i].at[j],
				    file_value(names[i].at[j], m));
	}
}

int
metrics_print(FILE *to, const struct observer *observers, size_t count)
{
	struct names *names = calloc(count, sizeof *names);
	int error = names == NULL ? -ENOMEM : 0;
	size_t i;

	for (i = 0; error == 0 && i < count; i++)
		error = list_names(&names[i], &observers[i]);
	if (error == 0) {
		put_up(to, observers, count);
		put_servers(to, observers, count);
		put_files(to, observers, names, count);
	}
	for (i = 0; names != NULL && i < count; i++)
		free(names[i].at);
	free(names);
	return error;
}
