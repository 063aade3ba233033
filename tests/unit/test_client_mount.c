/*
 * Mounts and mount files (DESIGN 7): which are accepted, which mount a path has, and the errors of
 * all others.
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
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/client/mount.h"
#include "common/client/mountfile.h"
#include "common/client/mountspec.h"
#include "common/client/smclient.h"
#include "common/client/track/dirty_auto.h"
#include "common/remote/remote.h"
#include "tests/stress/scratch.h"

static struct sm *sm;

static int
setup(void **state)
{
	(void)state;
	sm = sm_new();
	return sm == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	sm_free(sm);
	return 0;
}

static void
expect_mount(const char *uri, const char *path, const char *type, const char *options)
{
	if (sm_mount(sm, uri, path, type, options) != 0)
		fail_msg("%s %s %s: expected a mount, got %s", uri, path, type, sm_error(sm));
}

/* The mount is refused with that errno, and the error's words contain word. */
static void
expect_refusal(const char *uri, const char *path, const char *type, const char *options, int error,
    const char *word)
{
	errno = 0;
	assert_int_equal(sm_mount(sm, uri, path, type, options), -1);
	assert_int_equal(errno, error);
	if (strstr(sm_error(sm), word) == NULL)
		fail_msg("expected words about '%s', got '%s'", word, sm_error(sm));
}

static void
every_kind_of_address_is_mounted(void **state)
{
	(void)state;
	expect_mount("unix:/run/x.sock", "/a", "smdish", NULL);
	expect_mount("abstract:name", "/b", "smdish", "");
	expect_mount("pipe:2011863273", "/c", "smdish", "sync=full");
	expect_mount("tcp:localhost:9001", "/d", "smdish", "sync=delta,track=auto,name=x");
	expect_mount("tcp:[::1]:9001", "/e", "smdish", "track=diff");
	expect_mount("tcp:[::1]:9001", "/f", "smdish", "track=uffd");
	expect_mount("tcp:[::1]:9001", "/g", "smdish", "track=hint");
}

static void
what_is_no_address_is_einval(void **state)
{
	(void)state;
	expect_refusal("/run/x.sock", "/a", "smdish", NULL, EINVAL, "/run/x.sock");
	expect_refusal("", "/a", "smdish", NULL, EINVAL, "URI");
	expect_refusal("http:x", "/a", "smdish", NULL, EINVAL, "http:x");
	expect_refusal("unix:", "/a", "smdish", NULL, EINVAL, "unix:");
	expect_refusal("pipe:x", "/a", "smdish", NULL, EINVAL, "pipe:x");
	expect_refusal("tcp:host", "/a", "smdish", NULL, EINVAL, "tcp:host");
	expect_refusal("tcp::9001", "/a", "smdish", NULL, EINVAL, "host");
	expect_refusal("tcp:*:9001", "/a", "smdish", NULL, EINVAL, "host");
}

static void
options_are_known_or_einval(void **state)
{
	(void)state;
	expect_refusal("unix:x", "/a", "smdish", "sync=no", EINVAL, "sync=no");
	expect_refusal("unix:x", "/a", "smdish", "sync", EINVAL, "sync");
	expect_refusal("unix:x", "/a", "smdish", "track=foo", EINVAL, "track=foo");
	expect_refusal("unix:x", "/a", "smdish", "key=/k", EINVAL, "key");
	expect_refusal("unix:x", "/a", "smdish", "name=", EINVAL, "name=");
	expect_refusal("unix:x", "/a", "smdish", "sync=full,", EINVAL, "option");
	expect_refusal("unix:x", "/a", "smdish", "sync=full,foo=1", EINVAL, "foo=1");
}

static void
types_that_do_not_exist_are_einval(void **state)
{
	(void)state;
	expect_refusal("unix:x", "/a", "smdisk", NULL, EINVAL, "smdisk");
	expect_refusal("unix:x", "/a", "", NULL, EINVAL, "type");
}

static void
mount_points_are_absolute_and_free(void **state)
{
	(void)state;
	expect_refusal("unix:x", "a", "smdish", NULL, EINVAL, "absolute");
	expect_refusal("unix:x", "/a/../b", "smdish", NULL, EINVAL, "..");
	expect_refusal("unix:x", "/a,/b", "smdish", NULL, EINVAL, "/a,/b");
	expect_mount("unix:x", "/a", "smdish", NULL);
	expect_refusal("unix:y", "/a", "smdish", NULL, EEXIST, "/a");
	expect_refusal("unix:y", "//a/./", "smdish", NULL, EEXIST, "/a");
}

static void
expect_open(const char *path, int error)
{
	errno = 0;
	assert_null(sm_open(sm, path));
	if (errno != error)
		fail_msg("%s: expected %s, got %s", path, strerror(error), sm_error(sm));
}

static void
a_path_has_a_mount_or_enoent(void **state)
{
	(void)state;
	expect_open("/a/b", ENOENT);
	expect_mount("unix:/nowhere/at/all", "/a", "smdish", NULL);
	expect_open("/a", EISDIR);
	expect_open("/a/", EISDIR);
	expect_open("/", ENOENT);
	expect_open("/ab", ENOENT);
	expect_open("/b/a", ENOENT);
	expect_open("a/b", EINVAL);
	expect_open("/a/../b", EINVAL);
	expect_open("/a/b", ENOTCONN);
	expect_mount("unix:/nowhere/at/all", "/", "smdish", NULL);
	expect_open("/", EISDIR);
	expect_open("/ab", ENOTCONN);
}

static void
the_longest_mount_point_wins(void **state)
{
	struct mount_list list = TAILQ_HEAD_INITIALIZER(list);
	const char *points[] = { "/a", "/a/b/c", "/", "/a/b" };
	const struct {
		const char *path, *point, *name;
	} rows[] = {
		{ "/a/x", "/a", "/x" },
		{ "/a/b", "/a/b", "" },
		{ "/a/bc", "/a", "/bc" },
		{ "/a/b/x/y", "/a/b", "/x/y" },
		{ "/a/b/c/d", "/a/b/c", "/d" },
		{ "/x", "", "/x" },
		{ "", "", "" },
	};
	const char *name;
	struct mount *m;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		assert_int_equal(mountspec_create(&m, "unix:x", points[i], "smdish", NULL), 0);
		TAILQ_INSERT_TAIL(&list, m, link);
	}
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		m = mount_find(&list, rows[i].path, &name);
		assert_non_null(m);
		assert_string_equal(m->point, rows[i].point);
		assert_string_equal(name, rows[i].name);
	}
	while ((m = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, m, link);
		mount_destroy(m);
	}
}

static void
paths_are_brought_to_one_form(void **state)
{
	char out[MOUNT_PATH_SIZE], path[MOUNT_PATH_SIZE + 8];

	(void)state;
	assert_int_equal(mount_normalize(out, "//a///b/./c/."), 0);
	assert_string_equal(out, "/a/b/c");
	assert_int_equal(mount_normalize(out, "/"), 0);
	assert_string_equal(out, "");
	assert_int_equal(mount_normalize(out, "/..a/.b/..."), 0);
	assert_string_equal(out, "/..a/.b/...");
	assert_int_equal(mount_normalize(out, "/a/.."), -EINVAL);
	assert_int_equal(mount_normalize(out, ""), -EINVAL);
	memset(path, 'a', sizeof path);
	path[0] = '/';
	path[MOUNT_PATH_SIZE - 1] = '\0';
	assert_int_equal(mount_normalize(out, path), 0);
	path[MOUNT_PATH_SIZE - 1] = 'a';
	path[MOUNT_PATH_SIZE] = '\0';
	assert_int_equal(mount_normalize(out, path), -ENAMETOOLONG);
}

/* The example of the design, with the directives for packaging. */
static void
a_mount_file_is_a_premanifest(void **state)
{
	static const char text[] =
	    "# for both\n"
	    "EXEC file:$TEST_HOME/bin/app\nDEBUG off\nENCLAVE_SIZE 128\nMODULE file:/lib/x.so\n"
	    "THREADS 2 exitless\nTIMESERVER udp:127.0.0.1:12345 public.pem 1\nCONFFILE options.conf\n"
	    "MOUNT file:$TEST_HOME /home chroot rw\nMOUNT file:keys /keys encrypted\nMOUNT tcp:127.0.0.1:8089 /srv nextfs\n"
	    "MOUNT pipe:2011863273 /memserver0 smdish\n"
	    "MOUNT unix:/run/smdish.sock /memserver1 smdish sync=full\n"
	    "CAFILE ${TEST_HOME}/root.crt\nCERTFILE a.crt\nKEYFILE a.key\nCRLFILE ~/root.crl\n";
	struct mountfile f = { .mounts = TAILQ_HEAD_INITIALIZER(f.mounts) };
	const struct remote_mount *server;
	struct mount *m;

	(void)state;
	setenv("TEST_HOME", "/home/x", 1);
	error_begin();
	if (mountfile_parse(&f, "conf", text, sizeof text - 1) != 0)
		fail_msg("%s", error_text());
	m = TAILQ_FIRST(&f.mounts);
	assert_string_equal(m->point, "/memserver0");
	assert_false(m->is_full);
	server = m->backend_state;
	assert_string_equal(server->addr.name, "/graphene/123456/77ea98e9");
	m = TAILQ_NEXT(m, link);
	assert_string_equal(m->point, "/memserver1");
	assert_true(m->is_full);
	assert_ptr_equal(m->tracker, &dirty_auto);
	assert_null(TAILQ_NEXT(m, link));
	assert_string_equal(f.ca_file, "/home/x/root.crt");
	assert_non_null(strstr(f.crl_file, "/root.crl"));
	mountfile_fini(&f);
}

static void
expect_parse(const char *text, int error, const char *words)
{
	struct mountfile f = { .mounts = TAILQ_HEAD_INITIALIZER(f.mounts) };
	int got;

	error_begin();
	got = mountfile_parse(&f, "conf", text, strlen(text));
	mountfile_fini(&f);
	if (got != error || (error != 0 && strcmp(error_text(), words) != 0))
		fail_msg("%s: expected %d %s, got %d %s", text, error, words, got, error_text());
}

static void
an_error_in_a_mount_file_has_its_place(void **state)
{
	(void)state;
	unsetenv("TEST_UNSET");
	expect_parse("\nMOUNT $TEST_UNSET /a smdish", -EINVAL, "conf:2:7: $TEST_UNSET is not set");
	expect_parse("mount unix:x /a smdish", -EINVAL,
	    "conf:1:1: mount: there is no such directive (MOUNT, CAFILE, CERTFILE, KEYFILE, CRLFILE)");
	expect_parse("MOUNT unix:x /a", -EINVAL, "conf:1:1: MOUNT needs a URI, a path and a type");
	expect_parse("MOUNT unix:x /a smuf2", -EINVAL,
	    "conf:1:17: smuf2: there is no such type of mount (smdish, smuf, smc)");
	expect_parse("MOUNT unix:x /a smdish sync=full name=x", -EINVAL,
	    "conf:1:34: MOUNT has too many words: commas separate options");
	expect_parse("MOUNT unix:x /a smdish foo=1", -EINVAL,
	    "conf:1:24: foo=1: there is no such option");
	expect_parse("MOUNT unix:x a smdish", -EINVAL, "conf:1:14: a: the path is not absolute");
	expect_parse("MOUNT udp:x /a smdish", -EINVAL,
	    "conf:1:7: udp:x: a URI begins with unix:, abstract:, pipe: or tcp:");
	expect_parse("MOUNT file:x /a smc key=", -EINVAL, "conf:1:21: key=: the file is missing");
	expect_parse("MOUNT file:x /a smc key=/dev/null/x", -ENOTDIR,
	    "conf:1:21: key=/dev/null/x: Not a directory");
	expect_parse("MOUNT unix:x /a smdish\nMOUNT unix:y /a/ smdish\n", -EEXIST,
	    "conf:2:14: MOUNT: the mount point is taken");
	expect_parse("CAFILE", -EINVAL, "conf:1:1: the directive names exactly one file");
	expect_parse("CAFILE a b", -EINVAL, "conf:1:10: the directive names exactly one file");
	expect_parse("CAFILE a\nCAFILE b", -EEXIST,
	    "conf:2:1: the file has this directive already");
	expect_parse("CAFILE a\nCERTFILE b", -EINVAL,
	    "conf: CERTFILE and KEYFILE must come together");
	expect_parse("CERTFILE b\nKEYFILE c", -EINVAL, "conf: CERTFILE needs a CAFILE");
	expect_parse("CAFILE a\nCERTFILE b\nKEYFILE c", 0, "");
	expect_parse("CRLFILE b", -EINVAL, "conf: CRLFILE needs a CAFILE");
	expect_parse("CRLFILE b\nCRLFILE c", -EEXIST,
	    "conf:2:1: the file has this directive already");
	expect_parse("CAFILE a\nCRLFILE b", 0, "");
}

/* Writes a file for sm_load() to read. */
static void
write_file(char path[256], const char *text)
{
	const char *dir = getenv("TMPDIR");
	FILE *file;

	snprintf(path, 256, "%s/mounts.XXXXXX", dir == NULL ? "/tmp" : dir);
	file = fdopen(mkstemp(path), "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Writes text, to the file name in the working directory. */
static void
write_text(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
expect_path(const char *got, const char *base, const char *name)
{
	char expected[SCRATCH_PATH_SIZE + 64];

	snprintf(expected, sizeof expected, "%s/%s", base, name);
	assert_string_equal(got, expected);
}

static void
expect_mount_at(const struct mount *m, const char *base)
{
	const struct remote_mount *server = m->backend_state;

	expect_path(m->directory, base, "mem");
	if (server != NULL)
		expect_path(server->addr.name, base, "s");
}

/* In the scratch directory here: mounts begin at the working directory, lines at their file's. */
static void
expect_bases(const char *here)
{
	struct mountfile f = { .mounts = TAILQ_HEAD_INITIALIZER(f.mounts) };
	char sub[SCRATCH_PATH_SIZE + 16];
	struct mount *m;

	assert_int_equal(mountspec_create(&m, "file:mem", "/m", "smc", "key=key"), 0);
	expect_mount_at(m, here);
	mount_destroy(m);
	assert_int_equal(mountspec_create(&m, "unix:s,file:mem", "/m", "smuf", NULL), 0);
	expect_mount_at(m, here);
	mount_destroy(m);
	snprintf(sub, sizeof sub, "%s/sub/", here);
	if (mountfile_load(&f, "sub/conf") != 0)
		fail_msg("%s", error_text());
	expect_mount_at(TAILQ_FIRST(&f.mounts), sub);
	expect_path(f.base, here, "sub/");
	assert_int_equal(mountfile_parse(&f, "conf", "CAFILE root.crt\n", 16), 0);
	expect_path(f.ca_file, sub, "root.crt");
	mountfile_fini(&f);
}

static void
relative_paths_become_absolute(void **state)
{
	char dir[SCRATCH_PATH_SIZE], *before = getcwd(NULL, 0), *here;

	(void)state;
	assert_non_null(before);
	scratch_create(dir);
	assert_int_equal(chdir(dir), 0);
	here = getcwd(NULL, 0);
	assert_non_null(here);
	assert_int_equal(mkdir("sub", 0700), 0);
	write_text("key", "0123456789abcdef0123456789abcdef");
	write_text("sub/key", "0123456789abcdef0123456789abcdef");
	write_text("sub/conf", "MOUNT file:mem /m smc key=key\n");
	expect_bases(here);
	assert_int_equal(chdir(before), 0);
	scratch_remove(dir);
	free(here);
	free(before);
}

/* Later it would begin at another one. */
static void
a_relative_path_in_a_directory_that_is_gone_is_refused(void **state)
{
	char dir[SCRATCH_PATH_SIZE], *before = getcwd(NULL, 0);

	(void)state;
	assert_non_null(before);
	scratch_create(dir);
	assert_int_equal(chdir(dir), 0);
	scratch_remove(dir);
	expect_refusal("file:mem", "/m", "smc", NULL, ENOENT, "the working directory");
	expect_refusal("unix:x", "/m", "smdish", NULL, ENOENT, "the working directory");
	expect_mount("file:/mem", "/m", "smc", NULL);
	assert_int_equal(chdir(before), 0);
	free(before);
}

/* A message is one line, and its end says what is wrong. */
static void
a_message_about_a_strange_path_is_a_line_with_a_reason(void **state)
{
	char path[2048] = "/nowhere\n\x1b";

	(void)state;
	assert_null(sm_open(sm, path));
	assert_string_equal(sm_error(sm), "/nowhere??: no mount covers the path");
	memset(path + 1, 'a', sizeof path - 2);
	assert_null(sm_open(sm, path));
	assert_non_null(strstr(sm_error(sm), "aaa...aaa"));
	assert_non_null(strstr(sm_error(sm), "aaa: no mount covers the path"));
}

/* A unix socket's name has little room. */
static void
a_socket_whose_absolute_path_is_too_long_is_refused(void **state)
{
	char dir[SCRATCH_PATH_SIZE], *before = getcwd(NULL, 0);
	char name[100];

	(void)state;
	assert_non_null(before);
	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = '\0';
	memcpy(name, "unix:", 5);
	scratch_create(dir);
	assert_int_equal(chdir(dir), 0);
	expect_refusal(name, "/m", "smdish", NULL, ENAMETOOLONG, "too long");
	assert_int_equal(chdir(before), 0);
	scratch_remove(dir);
	free(before);
}

static void
a_mount_file_that_fails_changes_nothing(void **state)
{
	char path[256];

	(void)state;
	write_file(path, "MOUNT unix:/nowhere/x /a smdish\nMOUNT unix:/nowhere/x /b smdish\n");
	expect_mount("unix:x", "/b", "smdish", NULL);
	assert_int_equal(sm_load(sm, path), -1);
	assert_int_equal(errno, EEXIST);
	assert_non_null(strstr(sm_error(sm), path));
	expect_open("/a/x", ENOENT);
	unlink(path);
	assert_int_equal(sm_load(sm, path), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(sm_error(sm), path));

	write_file(path, "CAFILE /nowhere/root.crt\nMOUNT unix:/nowhere/x /a smdish\n");
	assert_int_equal(sm_load(sm, path), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(sm_error(sm), "/nowhere/root.crt"));
	expect_open("/a/x", ENOENT);
	unlink(path);
}

static void
plaintext_over_tcp_is_refused(void **state)
{
	(void)state;
	expect_mount("tcp:127.0.0.1:1", "/a", "smdish", NULL);
	expect_open("/a/x", EPERM);
	assert_non_null(strstr(sm_error(sm), "CAFILE"));
	expect_mount("unix:/nowhere/x", "/b", "smdish", "name=server");
	expect_open("/b/x", EPERM);
	assert_non_null(strstr(sm_error(sm), "name=server"));
}

static void
the_version_is_the_headers(void **state)
{
	(void)state;
	assert_string_equal(sm_version(), SMCLIENT_VERSION);
	assert_non_null(sm_error(NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_address_is_mounted),
		TEST(what_is_no_address_is_einval),
		TEST(options_are_known_or_einval),
		TEST(types_that_do_not_exist_are_einval),
		TEST(mount_points_are_absolute_and_free),
		TEST(a_path_has_a_mount_or_enoent),
		TEST(the_longest_mount_point_wins),
		TEST(paths_are_brought_to_one_form),
		TEST(a_mount_file_is_a_premanifest),
		TEST(an_error_in_a_mount_file_has_its_place),
		TEST(relative_paths_become_absolute),
		TEST(a_relative_path_in_a_directory_that_is_gone_is_refused),
		TEST(a_message_about_a_strange_path_is_a_line_with_a_reason),
		TEST(a_socket_whose_absolute_path_is_too_long_is_refused),
		TEST(a_mount_file_that_fails_changes_nothing),
		TEST(plaintext_over_tcp_is_refused),
		TEST(the_version_is_the_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
