/*
 * Segments of every small size over smuf: a client gets the bytes that another one has published,
 * although the grant of a tiny segment is larger than the segment.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "common/base/size.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"

static struct daemon server;

/* One client publishes the last byte of a segment of size bytes, another one reads it. */
static void
expect_shared(uint32_t size)
{
	struct client writer, reader;
	char path[64];

	snprintf(path, sizeof path, CLIENT_MOUNT "/%u", size);
	client_expect_open(&writer, &server, path, size);
	assert_int_equal(sm_lock(writer.file), 0);
	writer.segment[size - 1] = 42;
	assert_int_equal(sm_unlock(writer.file), 0);
	client_expect_open(&reader, &server, path, size);
	if (sm_lock(reader.file) != 0)
		fail_msg("a segment of %u bytes: %s", size, sm_error(reader.sm));
	assert_int_equal(reader.segment[size - 1], 42);
	assert_int_equal(sm_unlock(reader.file), 0);
	client_close(&reader);
	client_close(&writer);
}

static void
segments_of_every_small_size_are_shared(void **state)
{
	uint32_t size;

	(void)state;
	for (size = 1; size <= 40; size++)
		expect_shared(size);
	for (size = SIZE_BLOCK - 1; size <= SIZE_BLOCK + 8; size++)
		expect_shared(size);
}

static void
a_lock_of_an_unmapped_tiny_segment_is_granted(void **state)
{
	struct client writer, other;

	(void)state;
	client_expect_open(&writer, &server, CLIENT_MOUNT "/tiny", 1);
	assert_int_equal(sm_lock(writer.file), 0);
	*writer.segment = 1;
	assert_int_equal(sm_unlock(writer.file), 0);
	client_expect_open(&other, &server, CLIENT_MOUNT "/tiny", 0);
	assert_int_equal(sm_lock(other.file), 0);
	assert_int_equal(sm_unlock(other.file), 0);
	client_close(&other);
	client_close(&writer);
}

static int
start(void **state)
{
	(void)state;
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true });
	return 0;
}

static int
finish(void **state)
{
	(void)state;
	daemon_close(&server);
	return 0;
}

/* The largest body that such a server names in its HELLO is smaller than one of its grants. */
static int
start_for_one_byte(void **state)
{
	(void)state;
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true, .args = { "-s", "1" } });
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest sizes[] = {
		cmocka_unit_test(segments_of_every_small_size_are_shared),
		cmocka_unit_test(a_lock_of_an_unmapped_tiny_segment_is_granted),
	};
	static const struct CMUnitTest one_byte[] = {
		cmocka_unit_test(a_lock_of_an_unmapped_tiny_segment_is_granted),
	};
	int failed = cmocka_run_group_tests_name("smuf sizes", sizes, start, finish);

	return failed +
	    cmocka_run_group_tests_name("smufserver -s 1", one_byte, start_for_one_byte, finish);
}
