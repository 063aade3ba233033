#include "deploy/smstat/json.h"

#include <string.h>

#include "common/base/escape.h"
#include "deploy/smstat/observer.h"

/* The members of an object; each begins with a comma but the first. */

static void
put_name(FILE *to, const char *name)
{
	(void)fprintf(to, ", \"%s\": ", name);
}

static void
put_number(FILE *to, const char *name, uint64_t n)
{
	put_name(to, name);
	(void)fprintf(to, "%llu", (unsigned long long)n);
}

static void
put_string(FILE *to, const char *name, const char *text)
{
	put_name(to, name);
	if (text == NULL)
		(void)fputs("null", to);
	else
		escape_quote(to, text, strlen(text));
}

static void
put_bytes(FILE *to, const char *name, struct inspect_string s)
{
	put_name(to, name);
	escape_quote(to, s.data, s.size);
}

static void
put_rate(FILE *to, const char *name, const struct observer *o, double rate)
{
	put_name(to, name);
	if (observer_seconds(o) > 0)
		(void)fprintf(to, "%.6f", rate);
	else
		(void)fputs("null", to);
}

/* Who holds the lock: its session, of which no more is known once it has ended. */
static void
put_holder(FILE *to, const struct observer *o, const struct inspect_file *f)
{
	const struct inspect_session *s;

	put_name(to, "holder");
	if (f->holder == 0) {
		(void)fputs("null", to);
		return;
	}
	s = snapshot_session(o->now, f->holder);
	(void)fprintf(to, "{\"session\": %llu", (unsigned long long)f->holder);
	if (s != NULL) {
		put_bytes(to, "peer", s->peer);
		put_bytes(to, "address", s->address);
	} else {
		put_string(to, "peer", NULL);
		put_string(to, "address", NULL);
	}
	put_number(to, "held_ms", f->held_ms);
	(void)fputc('}', to);
}

static void
put_file(FILE *to, const struct observer *o, const struct inspect_file *f)
{
	static const char *const kinds[] = { "lock", "segment", "new" };
	const struct protocol_stat *stat = &f->stat;
	struct observer_rates rates = observer_rates(o, f);

	(void)fprintf(to, "{\"key\": %llu", (unsigned long long)f->key);
	put_bytes(to, "name", f->name);
	put_string(to, "kind", stat->type < 3 ? kinds[stat->type] : NULL);
	put_name(to, "life");
	(void)fprintf(to, "\"%016llx\"", (unsigned long long)stat->life);
	put_number(to, "size", stat->size);
	put_number(to, "committed", stat->committed);
	put_number(to, "version", stat->version);
	put_number(to, "opens", stat->open_count);
	put_number(to, "waiters", stat->waiters);
	put_holder(to, o, f);
	put_number(to, "sections", stat->grants);
	put_number(to, "bytes_granted", f->bytes_granted);
	put_number(to, "bytes_released", f->bytes_released);
	put_number(to, "waited_ms", f->waited_ms);
	put_rate(to, "sections_per_second", o, rates.sections);
	put_rate(to, "bytes_granted_per_second", o, rates.granted);
	put_rate(to, "bytes_released_per_second", o, rates.released);
	(void)fputc('}', to);
}

static void
put_session(FILE *to, const struct inspect_session *s)
{
	(void)fprintf(to, "{\"key\": %llu", (unsigned long long)s->key);
	put_bytes(to, "peer", s->peer);
	put_bytes(to, "address", s->address);
	put_number(to, "age_ms", s->age_ms);
	put_number(to, "version", s->version);
	put_number(to, "descriptors", s->descriptors);
	put_number(to, "held", s->held);
	put_number(to, "waiting", s->waiting);
	put_number(to, "requests", s->requests);
	put_number(to, "bytes_in", s->bytes_in);
	put_number(to, "bytes_out", s->bytes_out);
	put_number(to, "memory", s->memory);
	put_number(to, "unsent", s->unsent);
	put_number(to, "longest_turn_us", s->longest_turn_us);
	(void)fputc('}', to);
}

static void
put_server(FILE *to, const struct inspect_server *s)
{
	size_t i;

	put_name(to, "instance");
	(void)fputc('"', to);
	for (i = 0; i < sizeof s->instance_id; i++)
		(void)fprintf(to, "%02x", s->instance_id[i]);
	(void)fputc('"', to);
	put_number(to, "version", s->version);
	put_number(to, "uptime_ms", s->uptime_ms);
	put_number(to, "session_count", s->sessions);
	put_number(to, "handshake_count", s->handshakes);
	put_number(to, "file_count", s->files);
	put_number(to, "segments", s->segments);
	put_number(to, "segments_limit", s->segments_limit);
	put_number(to, "memory", s->memory);
	put_number(to, "memory_limit", s->memory_limit);
	put_number(to, "requests", s->requests);
	put_number(to, "sections", s->grants);
	put_number(to, "log_lines_lost", s->lines_lost);
	put_number(to, "longest_turn_us", s->longest_turn_us);
	put_number(to, "recent_turn_us", s->recent_turn_us);
}

/* All that the last look brought. */
static void
put_look(FILE *to, const struct observer *o)
{
	size_t i;

	put_server(to, &o->now->server);
	put_rate(to, "seconds", o, observer_seconds(o));
	put_name(to, "files");
	(void)fputc('[', to);
	for (i = 0; i < o->now->file_count; i++) {
		(void)fputs(i == 0 ? "" : ", ", to);
		put_file(to, o, &o->now->files[i]);
	}
	(void)fputc(']', to);
	put_name(to, "sessions");
	(void)fputc('[', to);
	for (i = 0; i < o->now->session_count; i++) {
		(void)fputs(i == 0 ? "" : ", ", to);
		put_session(to, &o->now->sessions[i]);
	}
	(void)fputc(']', to);
}

void
json_print(FILE *to, const struct observer *observers, size_t count)
{
	const struct observer *o;
	const char *address;

	(void)fputs("{\"servers\": [", to);
	for (o = observers; o < observers + count; o++) {
		address = o->server->target.addr->text;
		(void)fputs(o == observers ? "{\"address\": " : ", {\"address\": ", to);
		escape_quote(to, address, strlen(address));
		put_string(to, "type", o->server->type);
		put_string(to, "error", o->now == NULL ? o->failure : NULL);
		if (o->now != NULL)
			put_look(to, o);
		(void)fputc('}', to);
	}
	(void)fputs("]}\n", to);
}
