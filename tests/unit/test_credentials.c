/*
 * The files of -Z while a server serves: a change is seen once, and so is one that is no good. What
 * could not be loaded for another reason than its contents is tried again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/wholefile.h"
#include "common/server/credentials.h"
#include "common/server/options.h"
#include "tests/stress/pki.h"

enum { FILE_MOST = 16 * 1024, OPENS = 6 }; /* of a load: each file is digested, and read */

static struct pki pki;
static char ca[PKI_PATH_SIZE], cert[PKI_PATH_SIZE], key[PKI_PATH_SIZE];
static struct options options = { .ca_file = ca, .cert_file = cert, .key_file = key };
static struct timer_queue timers;
static struct credentials credentials;
static int opens_until_failure = -1; /* negative: none fails */

/* The program's open(2) is this one. */
int
open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (opens_until_failure >= 0 && opens_until_failure-- == 0) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void
write_file(const char *path, const void *bytes, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void
copy(const char *name, const char *suffix, const char *to)
{
	static uint8_t bytes[FILE_MOST];
	char from[PKI_PATH_SIZE];
	size_t size;

	assert_int_equal(wholefile_read(pki_file(&pki, name, suffix, from), bytes, sizeof bytes,
			     &size),
	    0);
	write_file(to, bytes, size);
}

/* The files of -Z are now those of that server. */
static void
put(const char *name)
{
	copy(name, "crt", cert);
	copy(name, "key", key);
}

/* What the next look at the files finds. */
static bool
finds_a_change(void)
{
	const struct budget once = { .clock = clock_now };

	timer_run(&timers, clock_after_ms(clock_now(), CREDENTIALS_LOOK_MS + 1), &once);
	return credentials.has_changed;
}

static int
begin(void **state)
{
	(void)state;
	umask(077);
	pki_create(&pki);
	pki_add(&pki, "server", "second", NULL, NULL);
	pki_file(&pki, "root", "crt", ca);
	pki_file(&pki, "now", "crt", cert);
	pki_file(&pki, "now", "key", key);
	put("server");
	timer_queue_init(&timers);
	credentials_init(&credentials, &options, &timers);
	return credentials_load(&credentials);
}

static int
end(void **state)
{
	(void)state;
	credentials_fini(&credentials);
	pki_destroy(&pki);
	return 0;
}

static void
a_change_is_seen_once(void **state)
{
	const struct tls_context *before = credentials.tls;

	(void)state;
	assert_false(finds_a_change());
	put("second");
	assert_true(finds_a_change());
	assert_int_equal(credentials_load(&credentials), 0);
	assert_ptr_not_equal(credentials.tls, before);
	assert_false(credentials.has_changed);
	assert_false(finds_a_change());
}

static void
files_that_are_no_good_are_loaded_once(void **state)
{
	const struct tls_context *before = credentials.tls;

	(void)state;
	write_file(cert, "no certificate", 14);
	assert_true(finds_a_change());
	assert_int_equal(credentials_load(&credentials), -EINVAL);
	assert_ptr_equal(credentials.tls, before);
	assert_false(finds_a_change());
	put("server");
	assert_true(finds_a_change());
	assert_int_equal(credentials_load(&credentials), 0);
	assert_false(finds_a_change());
}

static void
a_shortage_of_descriptors_is_tried_again(void **state)
{
	int i, error;

	(void)state;
	for (i = 0; i <= OPENS; i++) {
		put(i % 2 == 0 ? "second" : "server");
		assert_true(finds_a_change());
		opens_until_failure = i;
		error = credentials_load(&credentials);
		/* A file that was not digested may be loaded all the same. */
		if (i < OPENS / 2 || i == OPENS)
			assert_int_equal(error, 0);
		else
			assert_int_equal(error, -EMFILE);
		opens_until_failure = -1;
		if (i == OPENS)
			break;
		if (error != 0 && !finds_a_change())
			fail_msg("open number %d failed: the next look found no change", i);
		assert_int_equal(credentials_load(&credentials), 0);
	}
	assert_false(finds_a_change());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_seen_once),
		cmocka_unit_test(files_that_are_no_good_are_loaded_once),
		cmocka_unit_test(a_shortage_of_descriptors_is_tried_again),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
