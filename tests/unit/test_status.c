/* Errors to the wire and back: the numbers are Linux's on x86, and a peer cannot invent one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "common/wire/status.h"

/* The numbers of PROTOCOL 3.1 and of x86's errno.h, written down a second time. */
static const struct {
	int error;
	uint32_t status;
	const char *name;
} rows[] = {
	{ 0, 0, "0" },
	{ EPERM, 1, "EPERM" },
	{ ENOENT, 2, "ENOENT" },
	{ EIO, 5, "EIO" },
	{ EBADF, 9, "EBADF" },
	{ EAGAIN, 11, "EAGAIN" },
	{ ENOMEM, 12, "ENOMEM" },
	{ EACCES, 13, "EACCES" },
	{ EINVAL, 22, "EINVAL" },
	{ ENFILE, 23, "ENFILE" },
	{ EMFILE, 24, "EMFILE" },
	{ EDEADLK, 35, "EDEADLK" },
	{ ENAMETOOLONG, 36, "ENAMETOOLONG" },
	{ ENOSYS, 38, "ENOSYS" },
	{ EBADE, 52, "EBADE" },
	{ EPROTO, 71, "EPROTO" },
	{ EBADMSG, 74, "EBADMSG" },
	{ EMSGSIZE, 90, "EMSGSIZE" },
	{ ETIMEDOUT, 110, "ETIMEDOUT" },
	{ ESTALE, 116, "ESTALE" },
	{ ECANCELED, 125, "ECANCELED" },
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static void
every_status_has_its_number_and_its_name(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROW_COUNT; i++) {
		assert_int_equal(status_to_wire(-rows[i].error), rows[i].status);
		assert_int_equal(status_from_wire(rows[i].status), -rows[i].error);
		assert_string_equal(status_name(rows[i].status), rows[i].name);
		assert_int_equal(status_by_name(rows[i].name), rows[i].status);
	}
}

static void
unknown_error_becomes_eio(void **state)
{
	(void)state;
	assert_int_equal(status_to_wire(-EXDEV), 5);
	assert_int_equal(status_to_wire(-99999), 5);
}

/* A number that no server sends does not become an errno that the peer chooses. */
static void
unknown_status_becomes_eproto(void **state)
{
	static const uint32_t lies[] = { 3, 4, 32, 104, 107, 133, 4095, 0x10000, 0x80000000,
		(uint32_t)-1, (uint32_t)-EINVAL };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		assert_int_equal(status_from_wire(lies[i]), -EPROTO);
		assert_string_equal(status_name(lies[i]), "?");
	}
}

static void
every_number_is_a_status_or_eproto(void **state)
{
	uint32_t status;

	(void)state;
	for (status = 0; status < 70000; status++) {
		int error = status_from_wire(status);

		assert_true(error <= 0);
		if (error != -EPROTO)
			assert_int_equal(status_to_wire(error), status);
	}
}

static void
unknown_name_is_no_status(void **state)
{
	static const char *const names[] = { "", "?", "1", "EPER", "EPERMX", "eperm", " EPERM",
		"EXDEV" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_true(status_by_name(names[i]) == -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_its_number_and_its_name),
		cmocka_unit_test(unknown_error_becomes_eio),
		cmocka_unit_test(unknown_status_becomes_eproto),
		cmocka_unit_test(every_number_is_a_status_or_eproto),
		cmocka_unit_test(unknown_name_is_no_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
