/*
 * The lexer of premanifests: words, comments, variables, and an error with file, line and column
 * for anything else.
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

/* Notes a line as "2[MOUNT][x]", and refuses one that begins with STOP, for its last word. */
static int
note(void *arg, const struct premanifest_line *line, struct premanifest_fault *fault)
{
	size_t i;

	assert_null(arg);
	assert_true(line->count >= 1);
	assert_int_equal(fault->word, 0);
	assert_string_equal(fault->reason, "");
	sprintf(seen + strlen(seen), "%u", line->number);
	for (i = 0; i < line->count; i++)
		sprintf(seen + strlen(seen), "[%s]", line->words[i]);
	if (strcmp(line->words[0], "STOP") != 0)
		return 0;
	fault->word = line->count - 1;
	strcpy(fault->reason, "told to");
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
a_byte_order_mark_at_the_beginning_is_skipped(void **state)
{
	(void)state;
	assert_int_equal(parse("\xef\xbb\xbfMOUNT a\nb\n"), 0);
	assert_string_equal(seen, "1[MOUNT][a]2[b]");
	assert_int_equal(parse("\xef\xbb\xbf"), 0);
	assert_string_equal(seen, "");
	expect_error("\xef\xbb\xbf$", "conf:1:1: the name of a variable must follow a $");
	/* Elsewhere, or in part, its bytes are those of a word. */
	assert_int_equal(parse("a\n" PREMANIFEST_MARK "B"), 0);
	assert_string_equal(seen, "1[a]2[" PREMANIFEST_MARK "B]");
	assert_int_equal(parse("\xef\xbb"), 0);
	assert_string_equal(seen, "1[\xef\xbb]");
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
braces_end_the_name_of_a_variable(void **state)
{
	(void)state;
	setenv("TEST_A", "x y", 1);
	assert_int_equal(parse("${TEST_A}B$TEST_A{c} a${TEST_A}${TEST_A} {d}"), 0);
	assert_string_equal(seen, "1[x yBx y{c}][ax yx y][{d}]");
}

static void
an_unset_variable_is_an_error_with_file_line_and_column(void **state)
{
	(void)state;
	unsetenv("TEST_UNSET");
	expect_error("A b\nMOUNT file:$TEST_UNSET/x\n", "conf:2:12: $TEST_UNSET is not set");
	assert_string_equal(seen, "1[A][b]");
	expect_error("A ${TEST_UNSET}", "conf:1:3: $TEST_UNSET is not set");
}

static void
a_dollar_without_a_name_is_an_error(void **state)
{
	(void)state;
	setenv("TEST_A", "x", 1);
	expect_error("A $", "conf:1:3: the name of a variable must follow a $");
	expect_error("\tA\tx$9", "conf:1:5: the name of a variable must follow a $");
	expect_error("A $$", "conf:1:3: the name of a variable must follow a $");
	expect_error("A ${}", "conf:1:3: the name of a variable must follow a ${");
	expect_error("A ${", "conf:1:3: the name of a variable must follow a ${");
	expect_error("A ${9}", "conf:1:3: the name of a variable must follow a ${");
	expect_error("A b${TEST_A",
	    "conf:1:4: a } must follow the name of a variable that begins with ${");
	expect_error("A ${TEST_A :}",
	    "conf:1:3: a } must follow the name of a variable that begins with ${");
	expect_error("A ${TEST_A:-y}",
	    "conf:1:3: a } must follow the name of a variable that begins with ${");
}

static void
a_tilde_that_begins_a_word_is_home(void **state)
{
	(void)state;
	setenv("HOME", "/home/t est", 1);
	assert_int_equal(parse("~ A ~ ~/b ~//c file:~/d e~ f/~/g\n~/A\t~\r\n"), 0);
	assert_string_equal(seen,
	    "1[/home/t est][A][/home/t est][/home/t est/b][/home/t est//c][file:~/d][e~][f/~/g]"
	    "2[/home/t est/A][/home/t est]");
	expect_error("A ~user/x", "conf:1:3: a ~ stands for $HOME only alone or before a slash");
	expect_error("A b ~~", "conf:1:5: a ~ stands for $HOME only alone or before a slash");
	unsetenv("HOME");
	expect_error("A ~/x", "conf:1:3: $HOME is not set");
}

static void
control_characters_are_errors(void **state)
{
	(void)state;
	expect_error("A\nb\001", "conf:2:2: there is a control character on the line");
	expect_error("A\rB\n", "conf:1:2: there is a control character on the line");
	assert_int_equal(parse_bytes("A\0B", 3), -EINVAL);
	assert_string_equal(reason, "conf:1:2: there is a NUL on the line");
	setenv("TEST_A", "x\ny", 1);
	expect_error("A b$TEST_A", "conf:1:4: there is a control character on the line");
}

static void
lengths_are_bounded(void **state)
{
	static char text[3 * PREMANIFEST_LINE_SIZE];
	char expected[64];
	size_t i;

	(void)state;
	memset(text, 'a', PREMANIFEST_LINE_SIZE - 1);
	text[PREMANIFEST_LINE_SIZE - 1] = '\0';
	assert_int_equal(parse(text), 0);
	text[PREMANIFEST_LINE_SIZE - 1] = 'a';
	snprintf(expected, sizeof expected, "conf:1:%d: the line is too long",
	    PREMANIFEST_LINE_SIZE);
	expect_error(text, expected);

	text[0] = '\0';
	for (i = 0; i < PREMANIFEST_WORDS_MOST; i++)
		strcat(text, "w ");
	assert_int_equal(parse(text), 0);
	strcat(text, "w");
	snprintf(expected, sizeof expected, "conf:1:%d: there are too many words on the line",
	    2 * PREMANIFEST_WORDS_MOST + 1);
	expect_error(text, expected);

	/* A variable may be too long for a line. */
	memset(text, 'v', 2 * PREMANIFEST_LINE_SIZE);
	text[2 * PREMANIFEST_LINE_SIZE] = '\0';
	setenv("TEST_A", text, 1);
	expect_error("A $TEST_A", "conf:1:3: the line is too long");
	text[0] = '$';
	text[300] = '\0';
	expect_error(text, "conf:1:1: the name of a variable is too long");
}

static void
the_directives_own_error_gets_the_place_of_its_word(void **state)
{
	(void)state;
	assert_int_equal(parse("A\nSTOP  here\nB"), -EEXIST);
	assert_string_equal(reason, "conf:2:7: told to");
	assert_string_equal(seen, "1[A]2[STOP][here]");
}

/* Every prefix and every single changed byte of a complete file is an error or not, never more. */
static void
any_bytes_are_survived(void **state)
{
	const char text[] =
	    "# c\nMOUNT unix:$TEST_A /m smdish a=b\r\nCAFILE ~/${TEST_A}x\t# $\n\nEXEC y";
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
	assert_non_null(strstr(reason, ":2:1: told to"));

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
		cmocka_unit_test(a_byte_order_mark_at_the_beginning_is_skipped),
		cmocka_unit_test(comments_begin_where_a_word_could),
		cmocka_unit_test(variables_are_replaced_and_stay_one_word),
		cmocka_unit_test(braces_end_the_name_of_a_variable),
		cmocka_unit_test(an_unset_variable_is_an_error_with_file_line_and_column),
		cmocka_unit_test(a_dollar_without_a_name_is_an_error),
		cmocka_unit_test(a_tilde_that_begins_a_word_is_home),
		cmocka_unit_test(control_characters_are_errors),
		cmocka_unit_test(lengths_are_bounded),
		cmocka_unit_test(the_directives_own_error_gets_the_place_of_its_word),
		cmocka_unit_test(any_bytes_are_survived),
		cmocka_unit_test(files_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
