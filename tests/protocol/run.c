#include "tests/protocol/run.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/protocol/conversation.h"
#include "tests/protocol/host.h"
#include "tests/protocol/macro.h"
#include "tests/protocol/text.h"
#include "tests/stress/patience.h"

/* The peer uses the last number itself. */
enum { DEPTH_MOST = 4, STATEMENT_SIZE = 4096, CONVERSATION_MOST = PEER_MOST - 1 };

enum { SOON_MS = 5000, SOON_STEP_MS = 10 };

struct run {
	const struct peer *peer;
	struct peer_options options;
	bool has_server;
	bool has_forked;
	struct text_variables variables;
	struct macro_list macros;
	struct conversation conversations[CONVERSATION_MOST];
	char reason[RUN_REASON_SIZE];
};

struct run *
run_create(const struct peer *peer)
{
	struct run *r = calloc(1, sizeof *r);
	unsigned i;

	if (r == NULL)
		return NULL;
	r->peer = peer;
	for (i = 0; i < CONVERSATION_MOST; i++) {
		r->conversations[i].peer = peer;
		r->conversations[i].who = i;
	}
	return r;
}

/* Sets the reason, unless there is one. Returns false. */
static bool fail(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool
fail(struct run *r, const char *format, ...)
{
	va_list args;

	if (r->reason[0] != '\0')
		return false;
	va_start(args, format);
	vsnprintf(r->reason, sizeof r->reason, format, args);
	va_end(args);
	return false;
}

/* Connections. */

static bool
begin_server(struct run *r)
{
	char reason[PEER_REASON_SIZE] = "";

	if (!r->has_server && !r->peer->begin(&r->options, reason))
		return fail(r, "%s", reason);
	r->has_server = true;
	return true;
}

/* Returns the connection of that name, a new one if there is none; NULL when there are too many. */
static struct conversation *
find_conversation(struct run *r, const char *name)
{
	size_t i;

	for (i = 0; i < CONVERSATION_MOST; i++) {
		struct conversation *c = &r->conversations[i];

		if (c->name[0] == '\0')
			strlcpy(c->name, name, sizeof c->name);
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

/* Waits until the server has executed what the other connections have sent. */
static void
settle_others(struct run *r, const struct conversation *c)
{
	size_t i;

	for (i = 0; i < CONVERSATION_MOST; i++)
		if (&r->conversations[i] != c)
			conversation_settle(&r->conversations[i]);
}

static bool
do_request(struct run *r, struct conversation *c, struct text *t)
{
	settle_others(r, c);
	return begin_server(r) && conversation_open(c) &&
	    conversation_request(c, t, &r->has_forked);
}

/* Executes a statement about a connection that neither sends nor receives. */
static bool
do_action(struct run *r, struct conversation *c, struct text *t)
{
	settle_others(r, c);
	if (text_accept(t, "connects"))
		return begin_server(r) && conversation_open(c);
	if (text_accept(t, "is turned away"))
		return begin_server(r) && conversation_is_refused(c);
	if (!c->is_open)
		return fail(r, "not a statement, or it is not connected: %s %s", c->name, t->next);
	if (text_accept(t, "closes")) {
		conversation_close(c);
	} else if (text_accept(t, "reads no more")) {
		c->is_deaf = true;
		r->peer->deafen(c->who);
	} else if (text_accept(t, "pauses")) {
		c->is_paused = true;
		r->peer->pause(c->who);
	} else if (text_accept(t, "resumes")) {
		c->is_paused = false;
		r->peer->resume(c->who);
	} else if (text_accept(t, "is an operator")) {
		r->peer->make_operator(c->who);
	} else if (text_accept(t, "is held back")) {
		if (!r->peer->is_held_back(c->who))
			return fail(r, "the server wants to read from %s all the same", c->name);
	}
	return text_is_at_end(t) || fail(r, "not a statement: %s %s", c->name, t->next);
}

/* The other statements. */

static bool
do_server(struct run *r, struct text *t)
{
	uint64_t value;

	if (r->has_server)
		return fail(r, "the server runs already");
	while (!text_is_at_end(t)) {
		if (text_accept(t, "lease=") && text_get_duration(t, &value))
			r->options.lease_ms = (uint32_t)(value / CLOCK_MS);
		else if (text_accept(t, "segment=") && text_get_number(t, &value))
			r->options.segment_limit = value;
		else if (text_accept(t, "total=") && text_get_number(t, &value))
			r->options.total_limit = value;
		else if (text_accept(t, "memory=") && text_get_number(t, &value))
			r->options.memory_limit = value;
		else if (text_accept(t, "clients=") && text_get_number(t, &value))
			r->options.session_limit = (uint32_t)value;
		else
			return fail(r, "no option of the server: %s", t->next);
	}
	return true;
}

/* Compares $a == $b or $a != $b that hold bytes, and sets *is_so. Otherwise consumes nothing. */
static bool
compare_bytes(struct text *t, bool *is_so)
{
	const struct text_value *a, *b;
	char name[TEXT_WORD_SIZE], sign[TEXT_SIGN_SIZE];
	struct text ahead = *t;

	if (!text_accept(&ahead, "$") || !text_get_name(&ahead, name))
		return false;
	a = text_find(t->variables, name);
	text_get_sign(&ahead, sign);
	if (!text_accept(&ahead, "$") || !text_get_name(&ahead, name))
		return false;
	b = text_find(t->variables, name);
	if (a == NULL || b == NULL || a->size == 0 || !text_is_at_end(&ahead) ||
	    (strcmp(sign, "==") != 0 && strcmp(sign, "!=") != 0))
		return false;
	*is_so = (memcmp(a, b, sizeof *a) == 0) == (sign[0] == '=');
	t->next = ahead.next;
	return true;
}

static bool
do_check(struct run *r, struct text *t)
{
	const char *statement = t->next;
	char sign[TEXT_SIGN_SIZE];
	uint64_t a, b;
	bool is_so;
	int holds;

	if (compare_bytes(t, &is_so))
		return is_so || fail(r, "expected: %s\n\tgot:      the contrary", statement);
	if (!text_get_number(t, &a))
		return fail(r, "%s", t->error);
	text_get_sign(t, sign);
	if (!text_get_number(t, &b))
		return fail(r, "%s", t->error);
	holds = text_compare(a, sign, b);
	if (holds < 0 || !text_is_at_end(t))
		return fail(r, "not a comparison: %s", statement);
	return holds ||
	    fail(r, "expected: %s\n\tgot:      %llu and %llu", statement, (unsigned long long)a,
		(unsigned long long)b);
}

static bool
do_forget(struct run *r, struct text *t)
{
	char name[TEXT_WORD_SIZE];

	while (!text_is_at_end(t)) {
		if (!text_expect(t, "$") || !text_get_name(t, name))
			return fail(r, "%s", t->error);
		text_forget(&r->variables, name);
	}
	return true;
}

static bool
do_time(struct run *r, struct text *t)
{
	uint64_t duration;

	if (!text_get_duration(t, &duration))
		return fail(r, "%s", t->error);
	if (!r->has_server)
		return fail(r, "there is no server yet");
	r->peer->advance(duration);
	return true;
}

static bool
do_memory(struct run *r, struct text *t)
{
	uint64_t most;

	if (!text_get_number(t, &most))
		return fail(r, "%s", t->error);
	if (!r->has_server)
		return fail(r, "there is no server yet");
	return r->peer->memory() < most ||
	    fail(r, "expected: memory < %llu\n\tgot:      %zu", (unsigned long long)most,
		r->peer->memory());
}

/* Waits until it is so, in the core's time or in the daemon's. */
static bool
await_host(struct run *r, const struct host_statement *h)
{
	char reason[HOST_REASON_SIZE];
	unsigned i;

	for (i = 0; i < patience_ms(SOON_MS) / SOON_STEP_MS; i++) {
		if (host_do(h, r->peer->memdir(), reason))
			return true;
		r->peer->advance(SOON_STEP_MS * CLOCK_MS);
	}
	return host_do(h, r->peer->memdir(), reason) || fail(r, "%s", reason);
}

static bool
do_host(struct run *r, struct text *t)
{
	char reason[HOST_REASON_SIZE];
	struct host_statement h;

	if (!r->peer->is_smuf)
		return fail(r, "this store has nothing on the host");
	if (!host_parse(&h, t))
		return fail(r, "%s", t->error);
	settle_others(r, NULL);
	if (!begin_server(r))
		return false;
	if (h.is_soon)
		return await_host(r, &h);
	return host_do(&h, r->peer->memdir(), reason) || fail(r, "%s", reason);
}

static bool do_statements(struct run *r, const char *line, int depth);

static bool
do_for(struct run *r, struct text *t, int depth)
{
	char name[TEXT_WORD_SIZE];
	uint64_t first, last, i;

	if (!text_expect(t, "$") || !text_get_name(t, name) || !text_get_number(t, &first) ||
	    !text_expect(t, "..") || !text_get_number(t, &last) || !text_expect(t, ":"))
		return fail(r, "%s", t->error);
	for (i = first; i <= last; i++) {
		if (!text_set(t, name, (struct text_value){ .number = i }))
			return fail(r, "%s", t->error);
		if (!do_statements(r, t->next, depth + 1))
			return false;
	}
	return true;
}

static bool
do_macro(struct run *r, const struct macro *m, struct text *t, int depth)
{
	char expanded[MACRO_BODY_SIZE];

	if (!macro_expand(m, t, expanded))
		return fail(r, "%s", t->error);
	return do_statements(r, expanded, depth + 1);
}

/* Executes a statement that begins with the name of a connection. */
static bool
do_conversation(struct run *r, struct text *t)
{
	struct conversation *c;
	char name[TEXT_WORD_SIZE];
	bool ok;

	if (!text_get_word(t, name))
		return fail(r, "not a statement: %s", t->next);
	c = find_conversation(r, name);
	if (c == NULL)
		return fail(r, "too many connections");
	if (text_accept(t, ">"))
		ok = do_request(r, c, t);
	else if (text_accept(t, "<"))
		ok = conversation_reply(c, t);
	else
		ok = do_action(r, c, t);
	return ok || fail(r, "%s", c->reason);
}

static bool
do_statement(struct run *r, const char *statement, int depth)
{
	struct text t = { .next = statement, .variables = &r->variables };
	const struct macro *macro;

	if (text_is_at_end(&t))
		return true;
	macro = macro_find(&r->macros, &t);
	if (macro != NULL)
		return do_macro(r, macro, &t, depth);
	if (text_accept(&t, "server "))
		return do_server(r, &t);
	if (text_accept(&t, "check "))
		return do_check(r, &t);
	if (text_accept(&t, "only ") || text_accept(&t, "store "))
		return true;
	if (text_accept(&t, "host "))
		return do_host(r, &t);
	if (text_accept(&t, "forget "))
		return do_forget(r, &t);
	if (text_accept(&t, "time +") || text_accept(&t, "idle "))
		return do_time(r, &t);
	if (text_accept(&t, "memory <"))
		return do_memory(r, &t);
	return do_conversation(r, &t);
}

/* Returns the size of the first statement of a line, which ends at a ; outside of quotes. */
static size_t
statement_size(const char *line)
{
	bool quoted = false;
	size_t i;

	for (i = 0; line[i] != '\0' && (quoted || line[i] != ';'); i++) {
		if (quoted && line[i] == '\\' && line[i + 1] != '\0')
			i++;
		else if (line[i] == '"')
			quoted = !quoted;
	}
	return i;
}

static void
trim(char *statement)
{
	size_t size = strlen(statement);

	while (size > 0 && (statement[size - 1] == ' ' || statement[size - 1] == '\t'))
		statement[--size] = '\0';
}

static bool
do_statements(struct run *r, const char *line, int depth)
{
	struct text t = { .next = line, .variables = &r->variables };
	char statement[STATEMENT_SIZE];
	size_t size;

	if (depth > DEPTH_MOST)
		return fail(r, "macros too deep");
	for (;; t.next++) {
		/* These two take the rest of the line, with its semicolons. */
		if (text_accept(&t, "for "))
			return do_for(r, &t, depth);
		if (text_accept(&t, "let "))
			return macro_define(&r->macros, &t) || fail(r, "%s", t.error);
		size = statement_size(t.next);
		if (size >= sizeof statement)
			return fail(r, "a statement too long");
		strlcpy(statement, t.next, size + 1);
		trim(statement);
		if (!do_statement(r, statement, depth))
			return false;
		t.next += size;
		if (*t.next == '\0')
			return true;
	}
}

bool
run_line(struct run *r, const char *line)
{
	return do_statements(r, line, 0);
}

bool
run_destroy(struct run *r, bool went_well, char reason[RUN_REASON_SIZE])
{
	char left[PEER_REASON_SIZE] = "";
	size_t i;

	for (i = 0; i < CONVERSATION_MOST && went_well; i++)
		if (!conversation_is_clean(&r->conversations[i]))
			fail(r, "%s", r->conversations[i].reason);
	for (i = 0; i < CONVERSATION_MOST; i++)
		conversation_close(&r->conversations[i]);
	if (r->has_server && !r->peer->end(r->has_forked, left))
		fail(r, "%s", left);
	went_well = r->reason[0] == '\0';
	strlcpy(reason, r->reason, RUN_REASON_SIZE);
	free(r);
	return went_well;
}
