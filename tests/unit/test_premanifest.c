/*
 * The lexer of premanifests: words, comments, variables, and an error with file and line for
 * anything else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/premanifest.h"

static char seen[16384];
static char reason[PREMANIFEST_REASON_SIZE];

/* Notes a line as "2[MOUNT][x]", and refuses one that begins with STOP. */
static int
note(void *arg, const struct premanifest_line *line, char why[PREMANIFEST_REASON_SIZE])
{
	size_t i;

	assert_null(arg);
	assert_true(line->count >= 1);
	sprintf(seen + strlen(seen), "%u", line->number);
	for (i = 0; i < line->count; i++)
		sprintf(seen + strlen(seen), "[%s]", line->words[i]);
	if (strcmp(line->words[0], "STOP") != 0)
		return 0;
	strcpy(why, "told to");
	return -EEXIST;
}

static int
parse_bytes(const void *bytes, size_t size)
{
	seen[0] = '\0';
	strcpy(reason, "untouched");
	return premanifest_parse("conf", bytes, size, note, NULL, reason);
}

static int
parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void
expect_error(const char *text, const char *expected)
{
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(reason, expected);
}

static void
lines_are_words(void **state)
{
	(void)state;
	assert_int_equal(parse("MOUNT a b\n\n \t \n  X\ty  \r\nlast"), 0);
	assert_string_equal(seen, "1[MOUNT][a][b]4[X][y]5[last]");
	assert_int_equal(parse(""), 0);
	assert_string_equal(seen, "");
}

static void
comments_begin_where_a_word_could(void **state)
{
	(void)state;
	assert_int_equal(parse("# all\nA b # rest $UNSET_HERE\nA b#c\n#"), 0);
	assert_string_equal(seen, "2[A][b]3[A][b#c]");
}

static void
variables_are_replaced_and_stay_one_word(void **state)
{
	(void)state;
	setenv("TEST_A", "x y", 1);
	setenv("TEST_EMPTY", "", 1);
	setenv("_1", "one", 1);
	assert_int_equal(parse("$TEST_A file:$TEST_A/z $_1.$_1 $TEST_EMPTY e$TEST_EMPTY"), 0);
	assert_string_equal(seen, "1[x y][file:x y/z][one.one][][e]");
}

static void
an_unset_variable_is_an_error_with_file_and_line(void **state)
{
	(void)state;
	unsetenv("TEST_UNSET");
	expect_error("A b\nMOUNT $TEST_UNSET/x\n", "conf:2: $TEST_UNSET is not set");
	assert_string_equal(seen, "1[A][b]");
	expect_error("A $", "conf:1: the name of a variable must follow a $");
	expect_error("A $9", "conf:1: the name of a variable must follow a $");
	expect_error("A $$", "conf:1: the name of a variable must follow a $");
}

static void
control_characters_are_errors(void **state)
{
	(void)state;
	expect_error("A\nb\001", "conf:2: there is a control character on the line");
	expect_error("A\rB\n", "conf:1: there is a control character on the line");
	assert_int_equal(parse_bytes("A\0B", 3), -EINVAL);
	assert_string_equal(reason, "conf:1: there is a NUL on the line");
	setenv("TEST_A", "x\ny", 1);
	expect_error("A $TEST_A", "conf:1: there is a control character on the line");
}

static void
lengths_are_bounded(void **state)
{
	static char text[3 * PREMANIFEST_LINE_SIZE];
	size_t i;

	(void)state;
	memset(text, 'a', PREMANIFEST_LINE_SIZE - 1);
	text[PREMANIFEST_LINE_SIZE - 1] = '\0';
	assert_int_equal(parse(text), 0);
	text[PREMANIFEST_LINE_SIZE - 1] = 'a';
	expect_error(text, "conf:1: the line is too long");

	text[0] = '\0';
	for (i = 0; i < PREMANIFEST_WORDS_MOST; i++)
		strcat(text, "w ");
	assert_int_equal(parse(text), 0);
	strcat(text, "w");
	expect_error(text, "conf:1: there are too many words on the line");

	/* A variable may be too long for a line. */
	memset(text, 'v', 2 * PREMANIFEST_LINE_SIZE);
	text[2 * PREMANIFEST_LINE_SIZE] = '\0';
	setenv("TEST_A", text, 1);
	expect_error("A $TEST_A", "conf:1: the line is too long");
	text[0] = '$';
	text[300] = '\0';
	expect_error(text, "conf:1: the name of a variable is too long");
}

static void
the_directives_own_error_gets_file_and_line(void **state)
{
	(void)state;
	assert_int_equal(parse("A\nSTOP here\nB"), -EEXIST);
	assert_string_equal(reason, "conf:2: told to");
	assert_string_equal(seen, "1[A]2[STOP][here]");
}

/* Every prefix and every single changed byte of a complete file is an error or not, never more. */
static void
any_bytes_are_survived(void **state)
{
	const char text[] = "# c\nMOUNT unix:$TEST_A /m smdish a=b\r\nCAFILE x\t# $\n\nEXEC y";
	char changed[sizeof text];
	size_t i;
	int byte;

	(void)state;
	setenv("TEST_A", "v", 1);
	for (i = 0; i < sizeof text; i++) {
		(void)parse_bytes(text, i);
		for (byte = 0; byte < 256; byte++) {
			memcpy(changed, text, sizeof text);
			changed[i] = (char)byte;
			(void)parse_bytes(changed, sizeof text - 1);
		}
	}
}

static void
files_are_read(void **state)
{
	const char *dir = getenv("TMPDIR");
	char path[256];
	FILE *file;

	(void)state;
	snprintf(path, sizeof path, "%s/premanifest.XXXXXX", dir == NULL ? "/tmp" : dir);
	file = fdopen(mkstemp(path), "w");
	assert_non_null(file);
	fputs("A b\nSTOP\n", file);
	fclose(file);
	seen[0] = '\0';
	assert_int_equal(premanifest_load(path, note, NULL, reason), -EEXIST);
	assert_string_equal(seen, "1[A][b]2[STOP]");
	assert_non_null(strstr(reason, ":2: told to"));

	assert_int_equal(truncate(path, PREMANIFEST_SIZE_MOST + 1), 0);
	assert_int_equal(premanifest_load(path, note, NULL, reason), -EFBIG);
	unlink(path);
	assert_int_equal(premanifest_load(path, note, NULL, reason), -ENOENT);
	assert_non_null(strstr(reason, "No such file"));
	assert_int_equal(premanifest_load("/", note, NULL, reason), -EISDIR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_words),
		cmocka_unit_test(comments_begin_where_a_word_could),
		cmocka_unit_test(variables_are_replaced_and_stay_one_word),
		cmocka_unit_test(an_unset_variable_is_an_error_with_file_and_line),
		cmocka_unit_test(control_characters_are_errors),
		cmocka_unit_test(lengths_are_bounded),
		cmocka_unit_test(the_directives_own_error_gets_file_and_line),
		cmocka_unit_test(any_bytes_are_survived),
		cmocka_unit_test(files_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
