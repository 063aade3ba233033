#include "tests/protocol/script.h"

#include <bsd/string.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/protocol/run.h"

enum { STORE_SMDISH = 1, STORE_SMUF = 2 };

struct test {
	const char *name;  /* in the text */
	size_t first, end; /* lines; end is the one after the last */
	bool core_only;
	bool daemon_only;
	unsigned stores;
};

struct script {
	char *path;
	char *content;
	char **lines; /* in content, without comments and line ends */
	size_t line_count;
	struct test *tests;
	size_t test_count;
};

static int
read_file(const char *path, char **out)
{
	FILE *f = fopen(path, "r");
	char *content = NULL;
	size_t room = 0;
	ssize_t size;

	if (f == NULL)
		return -errno;
	size = getdelim(&content, &room, '\0', f);
	fclose(f);
	if (size < 0) {
		free(content);
		return -EINVAL;
	}
	*out = content;
	return 0;
}

/* Removes a comment: from a # outside of quotes on. */
static void
cut_comment(char *line)
{
	bool quoted = false;

	for (; *line != '\0'; line++) {
		if (quoted && *line == '\\' && line[1] != '\0')
			line++;
		else if (*line == '"')
			quoted = !quoted;
		else if (*line == '#' && !quoted)
			*line = '\0';
		if (*line == '\0')
			return;
	}
}

static int
split_lines(struct script *s)
{
	char *next = s->content, *line;

	while ((line = strsep(&next, "\n")) != NULL) {
		char **lines = reallocarray(s->lines, s->line_count + 1, sizeof *lines);

		if (lines == NULL)
			return -ENOMEM;
		cut_comment(line);
		s->lines = lines;
		s->lines[s->line_count++] = line;
	}
	return 0;
}

/* Cuts the name out of a line `test "NAME"`, and leaves the line empty. NULL for another line. */
static const char *
get_test_name(char *line)
{
	char *open, *close;

	if (strncmp(line, "test ", 5) != 0)
		return NULL;
	open = strchr(line, '"');
	close = strrchr(line, '"');
	if (open == NULL || close == open)
		return NULL;
	*close = '\0';
	*line = '\0';
	return open + 1;
}

/* True when one of the statements of a line begins with words, or contains them. */
static bool
mentions(const char *line, const char *words)
{
	const char *at = strstr(line, words);

	while (at != NULL && at > line && (at[-1] == ' ' || at[-1] == '\t'))
		at--;
	return at != NULL && (at == line || at[-1] == ';' || at[-1] == ':' || words[0] == ' ');
}

/* Returns the stores that a line names; 0: none. */
static unsigned
stores_of(const char *line)
{
	if (mentions(line, "store any"))
		return STORE_SMDISH | STORE_SMUF;
	if (mentions(line, "store smuf"))
		return STORE_SMUF;
	return mentions(line, "store smdish") ? STORE_SMDISH : 0;
}

static int
find_tests(struct script *s)
{
	unsigned stores = STORE_SMDISH, said;
	struct test *t = NULL;
	const char *name;
	size_t i;

	for (i = 0; i < s->line_count; i++) {
		name = get_test_name(s->lines[i]);
		if (name != NULL) {
			t = reallocarray(s->tests, s->test_count + 1, sizeof *t);
			if (t == NULL)
				return -ENOMEM;
			s->tests = t;
			t += s->test_count++;
			*t = (struct test){ .name = name, .first = i, .stores = stores };
		}
		said = stores_of(s->lines[i]);
		if (said != 0)
			*(t == NULL ? &stores : &t->stores) = said;
		if (t == NULL)
			continue;
		t->end = i + 1;
		if (mentions(s->lines[i], "time +") || mentions(s->lines[i], "only core") ||
		    mentions(s->lines[i], "memory <") || mentions(s->lines[i], " is held back") ||
		    mentions(s->lines[i], " is an operator"))
			t->core_only = true;
		if (mentions(s->lines[i], "only daemon"))
			t->daemon_only = true;
	}
	return s->test_count > 0 ? 0 : -EINVAL;
}

int
script_load(struct script **out, const char *path)
{
	struct script *s = calloc(1, sizeof *s);
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->path = strdup(path);
	r = s->path == NULL ? -ENOMEM : read_file(path, &s->content);
	if (r == 0)
		r = split_lines(s);
	if (r == 0)
		r = find_tests(s);
	if (r != 0) {
		script_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void
script_free(struct script *s)
{
	if (s == NULL)
		return;
	free(s->tests);
	free(s->lines);
	free(s->content);
	free(s->path);
	free(s);
}

size_t
script_test_count(const struct script *s)
{
	return s->test_count;
}

const char *
script_test_name(const struct script *s, size_t test)
{
	return s->tests[test].name;
}

bool
script_suits(const struct script *s, size_t test, const struct peer *peer)
{
	if ((s->tests[test].stores & (peer->is_smuf ? STORE_SMUF : STORE_SMDISH)) == 0)
		return false;
	return peer->is_core ? !s->tests[test].daemon_only : !s->tests[test].core_only;
}

static bool
run_lines(const struct script *s, const struct test *t, struct run *r, size_t *line)
{
	for (*line = t->first; *line < t->end; ++*line)
		if (!run_line(r, s->lines[*line]))
			return false;
	return true;
}

/*
 * Executes the begin of a test: the lines before the first test, and the macros of the file so far.
 */
static bool
run_preamble(const struct script *s, const struct test *t, struct run *r, size_t *line)
{
	for (*line = 0; *line < t->first; ++*line)
		if ((*line < s->tests[0].first || strncmp(s->lines[*line], "let ", 4) == 0) &&
		    !run_line(r, s->lines[*line]))
			return false;
	return true;
}

bool
script_run(const struct script *s, size_t test, const struct peer *peer,
    char failure[SCRIPT_FAILURE_SIZE])
{
	const struct test *t = &s->tests[test];
	struct run *r = run_create(peer);
	char reason[RUN_REASON_SIZE] = "";
	size_t line = 0;
	bool ok;

	if (r == NULL) {
		strlcpy(failure, "no memory", SCRIPT_FAILURE_SIZE);
		return false;
	}
	ok = run_preamble(s, t, r, &line) && run_lines(s, t, r, &line);
	if (!run_destroy(r, ok, reason))
		ok = false;
	if (!ok)
		snprintf(failure, SCRIPT_FAILURE_SIZE, "%s:%zu: %s", s->path, line + 1, reason);
	return ok;
}
