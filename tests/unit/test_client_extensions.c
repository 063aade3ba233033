/* What the client asks a server with extensions, and does without them (PROTOCOL 5.1, 5.10). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/unit/rig.h"

#define EXTENSIONS "00000002"
#define NEW (SM_OPEN_CREATE | SM_OPEN_EXCLUSIVE)

static int
open_flags(const char *path, int flags)
{
	return sm_open_flags(rig.sm, path, flags) != NULL ? 0 : -1;
}

static void
serve_opens(void)
{
	rig_greet_with(EXTENSIONS);
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_OPEN2, "00000000 00000002 2f67", "00000008");
	rig_serve(OP_OPEN2, "00000003 00000002 2f68", "00000009");
	rig_serve(OP_OPEN, "00000002 2f69", "0000000a");
	rig_take(OP_OPEN2, "00000000 00000002 2f6a");
	rig_answer(2, "");
	rig_take(OP_OPEN2, "00000003 00000002 2f6b");
	rig_answer(17, "");
}

static void
other_flags_than_create_are_an_open2(void **state)
{
	(void)state;
	rig_begin_with(NULL, serve_opens);
	OK(open_flags("/m/g", 0));
	OK(open_flags("/m/h", NEW));
	OK(open_flags("/m/i", SM_OPEN_CREATE | SM_OPEN_OWNER));
	/* Open in this process: the server is not asked. */
	OK(open_flags("/m/f", 0));
	FAILS(open_flags("/m/g", NEW), EEXIST);
	FAILS(open_flags("/m/l", SM_OPEN_EXCLUSIVE), EINVAL);
	FAILS(open_flags("/m/j", SM_OPEN_OWNER), ENOENT);
	FAILS(open_flags("/m/k", NEW), EEXIST);
	rig_end();
}

static void
serve_without(void)
{
	rig_greet_with("00000001");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_OPEN, "00000002 2f69", "0000000a");
	rig_serve(OP_CLOSE, "0000000a", "");
}

static void
serve_version_1(void)
{
	rig_accept();
	rig_take(OP_HELLO, "00000002 00000000");
	rig_answer(38, "");
	rig_serve(OP_NEW_FDTABLE, "", "");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_OPEN, "00000002 2f69", "0000000a");
	rig_serve(OP_CLOSE, "0000000a", "");
}

static void
expect_enotsup(rig_script *script)
{
	struct sm_file *owner;

	rig_begin_with(NULL, script);
	FAILS(open_flags("/m/g", 0), ENOTSUP);
	FAILS(open_flags("/m/h", NEW), ENOTSUP);
	OK(open_flags("/m/f", 0));
	FAILS(open_flags("/m/f", NEW), EEXIST);
	owner = sm_open_flags(rig.sm, "/m/i", SM_OPEN_CREATE | SM_OPEN_OWNER);
	assert_non_null(owner);
	OK(sm_close(owner));
	rig_end();
}

static void
without_extensions_what_needs_them_fails(void **state)
{
	(void)state;
	expect_enotsup(serve_without);
	expect_enotsup(serve_version_1);
}

static int
teardown(void **state)
{
	(void)state;
	rig_abandon();
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(other_flags_than_create_are_an_open2),
		TEST(without_extensions_what_needs_them_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
