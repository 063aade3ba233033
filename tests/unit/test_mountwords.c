/*
 * The preloaded library's reader of mount files: mount points are those that the client library
 * mounts; a line that it refuses has its mount point all the same, where one can be told; and a
 * fault is told of no file that the client library takes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "common/base/error.h"
#include "common/client/mountfile.h"
#include "common/preload/mountwords.h"

#define DIRECTIVE "there is no such directive (MOUNT, CAFILE, CERTFILE, KEYFILE, CRLFILE)"
#define TYPE "there is no such type of mount (smdish, smuf, smc)"
#define MISSING "MOUNT needs a URI, a path and a type"
#define RELATIVE "the mount point is not absolute"
#define MARK "\xef\xbb\xbf"
#define MALFORMED "a word is malformed"

static void
take(void *arg, const struct mountwords_line *line)
{
	char *out = arg;
	size_t used = strlen(out);

	(void)snprintf(out + used, 4096 - used, "%u %s %s\n", line->number,
	    line->point != NULL ? line->point : "-", line->fault != NULL ? line->fault : "good");
}

static void
read_words(const char *text, char out[4096])
{
	*out = '\0';
	mountwords_each_mount(text, strlen(text), take, out);
}

/* The words in which the client library refuses the file; "" when it takes it. */
static const char *
judged(const char *text)
{
	struct mountfile f = { .mounts = TAILQ_HEAD_INITIALIZER(f.mounts) };
	int error;

	error_begin();
	error = mountfile_parse(&f, "conf", text, strlen(text));
	mountfile_fini(&f);
	return error == 0 ? "" : error_text();
}

struct row {
	const char *text, *lines;
};

/* Checks the words; returns what the client library says. */
static const char *
check_row(const struct row *row)
{
	char came[4096];

	read_words(row->text, came);
	if (strcmp(came, row->lines) != 0)
		fail_msg("%s: expected:\n%scame:\n%s", row->text, row->lines, came);
	return judged(row->text);
}

static const struct row good[] = {
	{ "", "" },
	{ "# MOUNT a /b smdish\n\n  \t\n", "" },
	{ "MOUNT unix:x /a smdish", "1 /a good\n" },
	{ "MOUNT unix:x /a smdish\r\n\tMOUNT\tfile:x  /b\tsmc locks=none # d\r",
	    "1 /a good\n2 /b good\n" },
	{ "MOUNT unix:x,file:y /a,/files smuf sync=full", "1 /a good\n" },
	{ "MOUNT file:y /a,/files smc", "1 /a good\n" },
	{ "CAFILE /ca\nCERTFILE c\nKEYFILE k\nCRLFILE l\nMOUNT unix:x ~/a smdish",
	    "5 /home/a good\n" },
	{ "CONFFILE a\nDEBUG on\nENCLAVE_SIZE 1\nEXEC file:a\nMODULE b\nTHREADS 2\nTIMESERVER a b c\n"
	  "MOUNT file:x / chroot\nMOUNT x rel encrypted a b c\nMOUNT x y nextfs",
	    "" },
	{ "MOUNT unix:$TEST_A /${TEST_A}b$TEST_A smdish", "1 /abcbabc good\n" },
	{ "MOUNT unix:x /a#b smdish", "1 /a#b good\n" },
	{ MARK "MOUNT unix:x /a smdish\nMOUNT unix:x /b smdish", "1 /a good\n2 /b good\n" },
};

static void
mount_points_are_those_of_the_client_library(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_string_equal(check_row(good + i), "");
}

static const struct row bad[] = {
	{ "MOUNT unix:x /a smdihs", "1 /a " TYPE "\n" },
	{ "MOUNT unix:x /a smdish\nMOUNT unix:x /b smd", "1 /a good\n2 /b " TYPE "\n" },
	{ "MOUTN unix:x /a smdish", "1 /a " DIRECTIVE "\n" },
	{ "mount unix:x /a smdihs", "1 /a " DIRECTIVE "\n" },
	{ "$TEST_UNSET unix:x /a smdish", "1 /a " DIRECTIVE "\n" },
	{ "MOUTN file:x /a chroot", "1 - " DIRECTIVE "\n" },
	{ "CAFIEL pki/root.crt\nMOUNT unix:x /a smdish", "1 - " DIRECTIVE "\n2 /a good\n" },
	{ "MOUNT unix:$TEST_UNSET /a smdish", "1 /a " MALFORMED "\n" },
	{ "MOUNT unix:${TEST_A /a smdish", "1 /a " MALFORMED "\n" },
	{ "MOUNT unix:$ /a smdish", "1 /a " MALFORMED "\n" },
	{ "MOUNT unix:$1 /a smdish", "1 /a " MALFORMED "\n" },
	{ "MOUNT ~x /a smdish", "1 /a " MALFORMED "\n" },
	{ "MOUNT unix:x\a /a smdish", "1 /a " MALFORMED "\n" },
	{ "MOUNT unix:$TEST_TAB /a smdish", "1 /a " MALFORMED "\n" },
	{ "MOUNT unix:x /a $TEST_UNSET", "1 /a " MALFORMED "\n" },
	{ "MOUNT unix:x /$TEST_UNSET/a smdish", "1 - " MALFORMED "\n" },
	{ "MOUNT unix:x a smdish", "1 - " RELATIVE "\n" },
	{ "MOUNT unix:x $TEST_EMPTY smdish", "1 - " RELATIVE "\n" },
	{ "MOUNT /a smdish", "1 - " RELATIVE "\n" },
	{ "MOUNT unix:x /a", "1 /a " MISSING "\n" },
	{ "MOUNT unix:x /a # smdish", "1 /a " MISSING "\n" },
	{ "MOUNT", "1 - " MISSING "\n" },
	{ "# a\n" MARK "MOUNT unix:x /a smdish", "2 /a " DIRECTIVE "\n" },
	{ "some text\nof more lines", "1 - " DIRECTIVE "\n2 - " DIRECTIVE "\n" },
	/* Faults that are the client library's to tell. */
	{ "MOUNT unix:x /a,/b smdish", "1 /a good\n" },
	{ "MOUNT unix:x /a smdish snc=full", "1 /a good\n" },
	{ "MOUNT udp:x /a smdish", "1 /a good\n" },
	{ "MOUNT unix:x /a/../b smdish", "1 /a/../b good\n" },
	{ "MOUNT unix:x /a smdish\nCERTFILE c", "1 /a good\n" },
};

static void
a_line_that_the_client_library_refuses_keeps_its_mount_point(void **state)
{
	const struct row *row;

	(void)state;
	for (row = bad; row < bad + sizeof bad / sizeof bad[0]; row++)
		if (*check_row(row) == '\0')
			fail_msg("%s: expected an error, came none", row->text);
}

static void
a_word_that_is_too_long_is_malformed(void **state)
{
	static char text[8192], came[4096];
	const size_t begin = strlen("MOUNT unix:x /");

	(void)state;
	memset(text, 'a', sizeof text - 1);
	memcpy(text, "MOUNT unix:x /", begin);
	memcpy(text + begin + 4096, " smdish", strlen(" smdish") + 1);
	read_words(text, came);
	assert_string_equal(came, "1 - " MALFORMED "\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mount_points_are_those_of_the_client_library),
		cmocka_unit_test(a_line_that_the_client_library_refuses_keeps_its_mount_point),
		cmocka_unit_test(a_word_that_is_too_long_is_malformed),
	};

	setenv("HOME", "/home", 1);
	setenv("TEST_A", "abc", 1);
	setenv("TEST_TAB", "a\tb", 1);
	setenv("TEST_EMPTY", "", 1);
	unsetenv("TEST_UNSET");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
