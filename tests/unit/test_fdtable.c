/* Descriptors: their numbers, what they are charged, and how a table ends (server/core/fdtable). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "common/server/core/fdtable.h"
#include "smdish/store.h"
#include "tests/unit/storage.h"

enum { SEGMENT = 5000, NAMES = 100 };

static struct fdtable table;

static int
setup(void **state)
{
	(void)state;
	storage_begin(&smdish_store, NULL, 1 << 30);
	fdtable_init(&table, storage.account);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fdtable_fini(&table);
	storage_end();
	return 0;
}

static uint64_t
charged(void)
{
	return storage.account->used[ACCOUNT_MEMORY];
}

/* Opens file number i in the table; the result of fdtable_open(). */
static int
try_open(int i, struct desc **d)
{
	struct memfile *f;
	char name[16];
	int error;

	snprintf(name, sizeof name, "/%d", i);
	f = storage_get(name, PROTOCOL_VERSION_2);
	error = fdtable_open(&table, f, NULL, d);
	if (error != 0)
		memfile_put(f);
	return error;
}

static struct desc *
open_file(int i)
{
	struct desc *d;

	assert_int_equal(try_open(i, &d), 0);
	return d;
}

static void
close_fd(uint32_t fd)
{
	struct desc *d;

	assert_int_equal(fdtable_find(&table, fd, &d), 0);
	fdtable_close(&table, d);
}

static void
the_lowest_free_number_comes_first(void **state)
{
	struct desc *d;
	uint32_t fd;

	(void)state;
	for (fd = 0; fd < 20; fd++)
		assert_int_equal(open_file(0)->fd, fd);
	close_fd(17);
	close_fd(3);
	close_fd(5);
	assert_int_equal(fdtable_find(&table, 5, &d), -EBADF);
	assert_int_equal(fdtable_next(&table, 5)->fd, 6);
	assert_int_equal(open_file(0)->fd, 3);
	assert_int_equal(open_file(0)->fd, 5);
	assert_int_equal(open_file(0)->fd, 17);
	assert_int_equal(open_file(0)->fd, 20);
	assert_int_equal(table.count, 21);
	assert_null(fdtable_next(&table, 21));
	assert_int_equal(fdtable_find(&table, 21, &d), -EBADF);
	assert_int_equal(fdtable_find(&table, UINT32_MAX, &d), -EBADF);
}

static void
a_number_may_be_chosen(void **state)
{
	struct memfile *f = storage_get("/0", PROTOCOL_VERSION_2);
	struct desc *d;

	(void)state;
	assert_int_equal(fdtable_open_at(&table, 1023, f, NULL, &d), 0);
	assert_int_equal(d->fd, 1023);
	assert_ptr_equal(d->file, f);
	assert_int_equal(open_file(0)->fd, 0);
	memfile_ref(f);
	assert_int_equal(fdtable_open_at(&table, 1, f, NULL, &d), 0);
	assert_int_equal(open_file(0)->fd, 2);
}

static void
a_table_has_so_many_descriptors_and_no_more(void **state)
{
	struct desc *d = NULL;
	int i;

	(void)state;
	for (i = 0; i < PROTOCOL_DESCRIPTORS_MOST; i++)
		open_file(0);
	assert_int_equal(try_open(0, &d), -EMFILE);
	assert_null(d);
	assert_int_equal(table.count, PROTOCOL_DESCRIPTORS_MOST);
	close_fd(100);
	assert_int_equal(open_file(0)->fd, 100);
	assert_int_equal(try_open(0, &d), -EMFILE);
}

static void
descriptors_are_charged_until_they_are_closed(void **state)
{
	struct memfile *f = storage_get("/0", PROTOCOL_VERSION_2);
	uint64_t before = charged(), with_one;
	int i;

	(void)state;
	open_file(0);
	with_one = charged();
	assert_true(with_one >= before + sizeof(struct desc) + sizeof(struct desc *));
	for (i = 1; i < PROTOCOL_DESCRIPTORS_MOST; i++)
		open_file(0);
	assert_int_equal(charged(),
	    before + PROTOCOL_DESCRIPTORS_MOST * (sizeof(struct desc) + sizeof(struct desc *)));
	for (i = 0; i < PROTOCOL_DESCRIPTORS_MOST; i++)
		close_fd((uint32_t)i);
	/* The array stays until the table ends. */
	assert_int_equal(charged(), before + PROTOCOL_DESCRIPTORS_MOST * sizeof(struct desc *));
	open_file(0);
	fdtable_fini(&table);
	assert_int_equal(charged(), before);
	memfile_put(f);
}

/* A descriptor that cannot be opened costs nothing, and can be opened later. */
static void
without_memory_in_the_quota_nothing_is_opened(void **state)
{
	struct memfile *f = storage_get("/0", PROTOCOL_VERSION_2);
	uint64_t before = charged(), room;
	struct desc *d = NULL;
	int count;

	(void)state;
	for (room = 0; room < 20 * sizeof(struct desc); room += 8) {
		storage.accounts.limit[ACCOUNT_MEMORY] = before + room;
		for (count = 0; try_open(0, &d) == 0; count++)
			assert_true(charged() <= before + room);
		assert_int_equal(try_open(0, &d), -ENOMEM);
		assert_int_equal(table.count, count);
		assert_int_equal(f->references, count + 1);
		storage.accounts.limit[ACCOUNT_MEMORY] = UINT64_MAX;
		assert_int_equal(open_file(0)->fd, count);
		fdtable_fini(&table);
		assert_int_equal(charged(), before);
	}
	memfile_put(f);
}

static void
a_table_may_be_abandoned_without_its_files(void **state)
{
	struct memfile *f = storage_get("/0", PROTOCOL_VERSION_2);
	uint64_t before = charged();

	(void)state;
	open_file(0);
	open_file(0);
	fdtable_abandon(&table);
	assert_int_equal(table.count, 0);
	assert_int_equal(charged(), before);
	assert_int_equal(f->references, 3);
	memfile_put(f);
	memfile_put(f);
	memfile_put(f);
}

static void
the_last_eight_versions_are_remembered(void **state)
{
	struct desc *d = open_file(0);
	uint64_t version;

	(void)state;
	assert_true(fdtable_has_version(d, 0));
	for (version = 1; version <= 20; version++) {
		fdtable_add_version(d, version);
		fdtable_add_version(d, version);
		assert_true(fdtable_has_version(d, version));
		if (version >= 8)
			assert_true(fdtable_has_version(d, version - 7));
		if (version >= 8)
			assert_false(fdtable_has_version(d, version - 8));
	}
}

/* Publishes a byte of the file, so that its segment has memory. */
static void
publish(struct memfile *f)
{
	static const uint8_t body[] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 'x' };
	unsigned calls;

	assert_int_equal(storage_publish(f, smdish_store.release, 1, body, sizeof body, &calls), 0);
}

static void
open_published(int i)
{
	struct memfile *f = open_file(i)->file;

	assert_int_equal(memfile_map(f, SEGMENT, SEGMENT), 0);
	publish(f);
}

/* The names are free at once; the segments of their files end later. */
static void
what_a_table_opened_is_gone_with_it(void **state)
{
	struct memfile *f;
	uint64_t life;
	int i;

	(void)state;
	for (i = 0; i < NAMES; i++)
		open_published(i);
	life = fdtable_next(&table, 7)->file->life;
	fdtable_fini(&table);
	assert_int_equal(table.count, 0);
	assert_int_equal(storage.tree.count, 0);
	assert_null(memfile_after(&storage.tree, 0));
	assert_true(charged() > 0);
	/* A file of the same name is another one, with nothing in it. */
	f = open_file(7)->file;
	assert_true(f->life != life);
	assert_int_equal(f->size, 0);
	assert_int_equal(f->blocks.newest, 0);
	assert_int_equal(memfile_map(f, 2 * SEGMENT, 2 * SEGMENT), 0);
	assert_ptr_equal(memfile_after(&storage.tree, 0), f);
	/* It is not mistaken for the one that ended, nor does the end of that one end it. */
	storage_tasks();
	publish(f);
	assert_ptr_equal(open_file(7)->file, f);
	assert_int_equal(storage.tree.count, 1);
}

static void
a_table_ends_in_pieces(void **state)
{
	uint64_t before = charged();
	int i, turns = 0;

	(void)state;
	for (i = 0; i < NAMES; i++)
		open_published(i);
	fdtable_fini(&table);
	/* A turn whose budget is spent from the begin destroys one file, or wipes a part of one. */
	for (; charged() > before; turns++)
		assert_true(schedule_run(&storage.schedule, &storage_spent));
	assert_true(turns >= NAMES);
}

static void
a_segment_that_is_about_to_end_makes_room_in_time(void **state)
{
	struct memfile *f;
	int error;

	(void)state;
	storage.accounts.limit[ACCOUNT_SEGMENTS] = 5 * 4096;
	open_published(0);
	open_published(1);
	assert_int_equal(memfile_map(open_file(2)->file, SEGMENT, SEGMENT), -ENOMEM);
	fdtable_fini(&table);
	f = open_file(2)->file;
	while ((error = memfile_map(f, 4 * 4096, 4 * 4096)) == -EINPROGRESS)
		assert_true(schedule_run(&storage.schedule, &storage_spent));
	assert_int_equal(error, 0);
}

static void
a_file_that_others_have_open_stays(void **state)
{
	struct memfile *f = storage_get_mapped("/7", PROTOCOL_VERSION_2, SEGMENT);

	(void)state;
	open_file(7);
	open_file(7);
	fdtable_fini(&table);
	storage_tasks();
	assert_int_equal(f->references, 1);
	assert_ptr_equal(open_file(7)->file, f);
	memfile_put(f);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_lowest_free_number_comes_first),
		TEST(a_number_may_be_chosen),
		TEST(a_table_has_so_many_descriptors_and_no_more),
		TEST(descriptors_are_charged_until_they_are_closed),
		TEST(without_memory_in_the_quota_nothing_is_opened),
		TEST(a_table_may_be_abandoned_without_its_files),
		TEST(the_last_eight_versions_are_remembered),
		TEST(what_a_table_opened_is_gone_with_it),
		TEST(a_table_ends_in_pieces),
		TEST(a_segment_that_is_about_to_end_makes_room_in_time),
		TEST(a_file_that_others_have_open_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
