#include "deploy/smstat/tabular.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/escape.h"
#include "deploy/smstat/amount.h"
#include "deploy/smstat/observer.h"

enum { HOLDER_MOST = 24, CELL_SIZE = 40, LINE_SIZE = 1024, HEAD_ROWS = 4 };

enum column {
	KIND,
	SIZE,
	COMMITTED,
	VERSION,
	OPENS,
	WAITERS,
	SECTIONS,
	GRANTED,
	RELEASED,
	HELD,
	HOLDER,
	COLUMNS
};

static const struct {
	const char *title;
	bool is_text; /* at the left of its column */
} columns[COLUMNS] = {
	[KIND] = { "KIND", true },
	[SIZE] = { "SIZE", false },
	[COMMITTED] = { "COMMIT", false },
	[VERSION] = { "VER", false },
	[OPENS] = { "OPEN", false },
	[WAITERS] = { "WAIT", false },
	[SECTIONS] = { "SECT/S", false },
	[GRANTED] = { "OUT/S", false },
	[RELEASED] = { "IN/S", false },
	[HELD] = { "HELD", false },
	[HOLDER] = { "HOLDER", true },
};

/* A line of the table. */
struct row {
	char cells[COLUMNS][CELL_SIZE];
};

/* A file, and where it belongs in the order. */
struct place {
	const struct inspect_file *file;
	double sections;
};

/* The account of the session that holds the lock. */
static void
fill_holder(char out[CELL_SIZE], const struct observer *o, uint64_t holder)
{
	const struct inspect_session *s;

	if (holder == 0)
		return;
	s = snapshot_session(o->now, holder);
	if (s != NULL)
		escape_copy(out, s->peer.data, s->peer.size, HOLDER_MOST);
	else
		/* It has ended since the files were listed. */
		(void)snprintf(out, CELL_SIZE, "session %llu", (unsigned long long)holder);
}

/* Fills the cells for a file. */
static void
fill(struct row *r, const struct observer *o, const struct inspect_file *f)
{
	static const char *const kinds[] = { "lock", "seg", "new" };
	const struct protocol_stat *stat = &f->stat;
	struct observer_rates rates = observer_rates(o, f);

	memset(r, 0, sizeof *r);
	(void)snprintf(r->cells[KIND], CELL_SIZE, "%s", stat->type < 3 ? kinds[stat->type] : "?");
	amount_bytes(r->cells[SIZE], (double)stat->size);
	amount_bytes(r->cells[COMMITTED], (double)stat->committed);
	(void)snprintf(r->cells[VERSION], CELL_SIZE, "%llu", (unsigned long long)stat->version);
	(void)snprintf(r->cells[OPENS], CELL_SIZE, "%u", stat->open_count);
	(void)snprintf(r->cells[WAITERS], CELL_SIZE, "%u", stat->waiters);
	if (observer_seconds(o) > 0) {
		amount_rate(r->cells[SECTIONS], rates.sections);
		amount_bytes(r->cells[GRANTED], rates.granted);
		amount_bytes(r->cells[RELEASED], rates.released);
	}
	if (f->holder != 0)
		amount_time(r->cells[HELD], f->held_ms);
	fill_holder(r->cells[HOLDER], o, f->holder);
}

static int
compare_names(struct inspect_string a, struct inspect_string b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	return order != 0 ? order : a.size < b.size ? -1 : a.size > b.size;
}

/* The busiest first, then those with the most waiters, then by name. */
static int
compare_places(const void *a, const void *b)
{
	const struct place *p = a, *q = b;
	uint32_t m = p->file->stat.waiters, n = q->file->stat.waiters;

	if (p->sections != q->sections)
		return p->sections > q->sections ? -1 : 1;
	if (m != n)
		return m > n ? -1 : 1;
	return compare_names(p->file->name, q->file->name);
}

/* The files in their order; NULL when there is no memory. */
static struct place *
order(const struct observer *o)
{
	size_t i, count = o->now->file_count;
	struct place *places = calloc(count + 1, sizeof *places);

	if (places == NULL)
		return NULL;
	for (i = 0; i < count; i++) {
		places[i].file = &o->now->files[i];
		places[i].sections = observer_rates(o, places[i].file).sections;
	}
	qsort(places, count, sizeof *places, compare_places);
	return places;
}

/* Widens the columns to what is in the row. */
static void
widen(int widths[COLUMNS], const struct row *r)
{
	int c, width;

	for (c = 0; c < COLUMNS; c++) {
		width = (int)strlen(r->cells[c]);
		if (width > widths[c])
			widths[c] = width;
	}
}

/* Prints a line, cut where the terminal's ends. */
static void __attribute__((format(printf, 3, 4)))
print_line(FILE *to, size_t line_most, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	(void)fprintf(to, "%.*s\n", line_most == 0 ? LINE_SIZE : (int)line_most, line);
}

/* Prints the cells and then the name, cut in the same way. */
static void
print_row(FILE *to, const struct row *r, const int widths[COLUMNS], const char *name, size_t size,
    size_t line_most)
{
	char line[LINE_SIZE];
	size_t used = 0;
	int c;

	for (c = 0; c < COLUMNS; c++)
		used += (size_t)snprintf(line + used, sizeof line - used,
		    columns[c].is_text ? "%-*s " : "%*s ", widths[c], r->cells[c]);
	if (line_most != 0 && used + 3 > line_most) {
		print_line(to, line_most, "%s", line);
		return;
	}
	(void)fputs(line, to);
	escape_print(to, name, size, line_most == 0 ? 0 : line_most - used);
	(void)fputc('\n', to);
}

static void
print_files(FILE *to, const struct observer *o, const struct place *places, size_t count,
    size_t line_most)
{
	int c, widths[COLUMNS] = { 0 };
	struct row row, titles;
	size_t i;

	for (c = 0; c < COLUMNS; c++)
		(void)snprintf(titles.cells[c], CELL_SIZE, "%s", columns[c].title);
	widen(widths, &titles);
	for (i = 0; i < count; i++) {
		fill(&row, o, places[i].file);
		widen(widths, &row);
	}
	print_row(to, &titles, widths, "NAME", 4, line_most);
	for (i = 0; i < count; i++) {
		fill(&row, o, places[i].file);
		print_row(to, &row, widths, places[i].file->name.data, places[i].file->name.size,
		    line_most);
	}
}

/* Prints HEAD_ROWS - 1 lines about the server. */
static void
print_head(FILE *to, const struct observer *o, size_t line_most)
{
	const struct inspect_server *s = &o->now->server;
	char a[AMOUNT_SIZE], b[AMOUNT_SIZE], c[AMOUNT_SIZE], d[AMOUNT_SIZE];
	const char *type = o->server->type;

	print_line(to, line_most, "%s%s%s: up %s, %u sessions, %u handshakes, %u files",
	    o->server->target.addr->text, type == NULL ? "" : ", ", type == NULL ? "" : type,
	    amount_time(a, s->uptime_ms), s->sessions, s->handshakes, s->files);
	print_line(to, line_most, "segments %s of %s, memory %s of %s, log lines lost %llu",
	    amount_bytes(a, (double)s->segments), amount_bytes(b, (double)s->segments_limit),
	    amount_bytes(c, (double)s->memory), amount_bytes(d, (double)s->memory_limit),
	    (unsigned long long)s->lines_lost);
	print_line(to, line_most,
	    "%llu requests, %llu critical sections, longest turn %.3f ms, lately %.3f ms",
	    (unsigned long long)s->requests, (unsigned long long)s->grants,
	    s->longest_turn_us / 1e3, s->recent_turn_us / 1e3);
}

int
tabular_print(FILE *to, const struct observer *o, struct tabular_room room)
{
	size_t count, shown;
	struct place *places;

	if (o->now == NULL) {
		print_line(to, room.columns, "%s", o->failure);
		return 0;
	}
	places = order(o);
	if (places == NULL)
		return -ENOMEM;
	count = shown = o->now->file_count;
	if (room.rows != 0 && count > room.rows - HEAD_ROWS)
		shown = room.rows - HEAD_ROWS - 1;
	print_head(to, o, room.columns);
	print_files(to, o, places, shown, room.columns);
	if (shown < count)
		print_line(to, room.columns, "and %zu more", count - shown);
	free(places);
	return 0;
}
