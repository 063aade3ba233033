/* Pending forks: what they share, what they are charged, and how they end (server/core/forks). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/server/core/fdtable.h"
#include "common/server/core/forks.h"
#include "common/server/core/snapshot.h"
#include "smdish/store.h"
#include "tests/unit/storage.h"

enum { DESCRIPTORS = 50, FORKS = 20 };

static struct forks forks;
static struct fork_parent *parent; /* of the session that has table */
static struct fdtable table, child;

static void
begin(bool separates_versions)
{
	storage_begin(&smdish_store, NULL, 1 << 30);
	storage.accounts.limit[ACCOUNT_FORKS] = PROTOCOL_FORKS_SERVER_MOST;
	forks_init(&forks, separates_versions, &storage.timers, &storage.now, &storage.schedule);
	parent = NULL;
	fdtable_init(&table, storage.account);
	fdtable_init(&child, storage.account);
}

static int
setup(void **state)
{
	(void)state;
	begin(false);
	return 0;
}

static void
end_parent(void)
{
	forks_parent_ended(parent);
	parent = NULL;
}

static int
teardown(void **state)
{
	(void)state;
	fdtable_fini(&table);
	fdtable_fini(&child);
	end_parent();
	forks_end_graces(&forks);
	storage_tasks();
	assert_true(RB_EMPTY(&forks.tree));
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
	storage_end();
	return 0;
}

static uint64_t
charged(void)
{
	return storage.account->used[ACCOUNT_MEMORY];
}

static uint64_t
pending(void)
{
	return storage.account->used[ACCOUNT_FORKS];
}

static struct desc *
open_file(const char *name)
{
	struct desc *d;

	assert_int_equal(fdtable_open(&table, storage_get(name, PROTOCOL_VERSION_2), NULL, &d), 0);
	return d;
}

static void
close_fd(uint32_t fd)
{
	struct desc *d;

	assert_int_equal(fdtable_find(&table, fd, &d), 0);
	fdtable_close(&table, d);
}

/* DESCRIPTORS descriptors of "/f", which is returned. */
static struct memfile *
open_many(void)
{
	int i;

	for (i = 0; i < DESCRIPTORS; i++)
		open_file("/f");
	return table.descs[0]->file;
}

static uint64_t
fork_table(void)
{
	uint64_t ident = 0;

	assert_int_equal(forks_create(&forks, &parent, &table, PROTOCOL_VERSION_2, &ident), 0);
	return ident;
}

static int
take(uint64_t ident)
{
	return forks_take(&forks, ident, PROTOCOL_VERSION_2, NULL, &child);
}

/* Takes the fork, and closes what the child then has. */
static void
take_and_close(uint64_t ident)
{
	assert_int_equal(take(ident), 0);
	fdtable_fini(&child);
}

/* What one more fork of the table is charged. */
static uint64_t
price(void)
{
	uint64_t before = charged();

	fork_table();
	return charged() - before;
}

static void
a_child_gets_the_numbers_files_and_versions(void **state)
{
	struct desc *d;
	uint64_t ident;
	int i;

	(void)state;
	for (i = 0; i < 20; i++)
		open_file(i % 2 ? "/odd" : "/even");
	close_fd(3);
	close_fd(0);
	for (i = 1; i <= 10; i++)
		fdtable_add_version(table.descs[7], (uint64_t)i);
	ident = fork_table();
	/* What comes later is not in it. */
	close_fd(7);
	fdtable_add_version(table.descs[8], 99);
	assert_int_equal(take(ident), 0);
	assert_int_equal(child.count, 18);
	for (i = 0; i < 20; i++) {
		if (i == 0 || i == 3) {
			assert_int_equal(fdtable_find(&child, (uint32_t)i, &d), -EBADF);
			continue;
		}
		assert_int_equal(fdtable_find(&child, (uint32_t)i, &d), 0);
		assert_int_equal(d->fd, i);
		assert_string_equal(d->file->name, i % 2 ? "/odd" : "/even");
		assert_int_equal(d->claim.state, CLAIM_IDLE);
	}
	d = child.descs[7];
	for (i = 3; i <= 10; i++)
		assert_true(fdtable_has_version(d, (uint64_t)i));
	assert_false(fdtable_has_version(d, 2));
	/* The oldest one goes first there, too. */
	fdtable_add_version(d, 11);
	assert_false(fdtable_has_version(d, 3));
	assert_true(fdtable_has_version(d, 4));
	assert_false(fdtable_has_version(child.descs[8], 99));
	/* The lowest free number is that of the gap. */
	assert_int_equal(fdtable_open(&child, storage_get("/new", PROTOCOL_VERSION_2), NULL, &d),
	    0);
	assert_int_equal(d->fd, 0);
	assert_int_equal(fdtable_open(&child, storage_get("/new", PROTOCOL_VERSION_2), NULL, &d),
	    0);
	assert_int_equal(d->fd, 3);
}

static void
an_empty_table_has_forks_too(void **state)
{
	(void)state;
	assert_int_equal(take(fork_table()), 0);
	assert_int_equal(child.count, 0);
}

static void
an_ident_is_good_once(void **state)
{
	uint64_t first, second;

	(void)state;
	open_file("/f");
	first = fork_table();
	second = fork_table();
	assert_true(first != second);
	take_and_close(second);
	assert_int_equal(take(second), -EINVAL);
	take_and_close(first);
	assert_int_equal(take(first), -EINVAL);
	assert_int_equal(pending(), 0);
}

static void
forks_of_an_unchanged_table_share_its_copy(void **state)
{
	uint64_t whole, more;
	int i;

	(void)state;
	open_many();
	whole = price();
	assert_true(whole > DESCRIPTORS * sizeof(struct snapshot_desc));
	more = price();
	assert_int_equal(more, sizeof(struct pending_fork));
	for (i = 0; i < FORKS; i++)
		assert_int_equal(price(), more);
}

static void
a_change_ends_the_sharing(void **state)
{
	uint64_t more = sizeof(struct pending_fork), one = sizeof(struct snapshot_desc);
	uint64_t snapshot;
	struct desc *d;

	(void)state;
	open_file("/f");
	open_file("/g");
	fork_table();
	snapshot = sizeof(struct snapshot) + 2 * one;
	assert_int_equal(price(), more);
	open_file("/f");
	assert_int_equal(price(), more + snapshot + one);
	close_fd(2);
	assert_int_equal(price(), more + snapshot);
	assert_int_equal(price(), more);
	/* The same number and file as before, but with other versions. */
	fdtable_add_version(table.descs[1], 5);
	assert_int_equal(price(), more + snapshot);
	assert_int_equal(price(), more);
	/* Another file of the same name: "/f" lives, with the forks. */
	close_fd(1);
	d = open_file("/h");
	assert_int_equal(d->fd, 1);
	assert_int_equal(price(), more + snapshot);
	/* As many descriptors, of the same files, but another number. */
	fdtable_fini(&table);
	fork_table();
	open_file("/f");
	open_file("/f");
	open_file("/h");
	close_fd(1);
	assert_int_equal(price(), more + snapshot);
}

static void
each_fork_counts_as_open_descriptors(void **state)
{
	struct memfile *f = open_many();
	uint64_t idents[FORKS];
	int i;

	(void)state;
	for (i = 0; i < FORKS; i++) {
		idents[i] = fork_table();
		assert_int_equal(f->references, (i + 2) * DESCRIPTORS);
	}
	assert_int_equal(take(idents[0]), 0);
	assert_int_equal(f->references, (FORKS + 1) * DESCRIPTORS);
	fdtable_fini(&child);
	assert_int_equal(f->references, FORKS * DESCRIPTORS);
	fdtable_fini(&table);
	assert_int_equal(f->references, (FORKS - 1) * DESCRIPTORS);
	for (i = 1; i < FORKS; i++)
		take_and_close(idents[i]);
	assert_int_equal(storage.tree.count, 0);
}

static void
a_cancelled_fork_leaves_nothing(void **state)
{
	struct memfile *f = open_many();
	uint64_t first = fork_table(), before = charged(), ident;

	(void)state;
	ident = fork_table();
	forks_cancel(&forks, ident);
	assert_int_equal(charged(), before);
	assert_int_equal(take(ident), -EINVAL);
	assert_int_equal(pending(), 1);
	assert_int_equal(f->references, 2 * DESCRIPTORS);
	take_and_close(first);
	before = charged();
	forks_cancel(&forks, fork_table());
	assert_int_equal(charged(), before);
	assert_int_equal(f->references, DESCRIPTORS);
}

static void
a_session_has_so_many_forks_and_no_more(void **state)
{
	uint64_t first, ident = 7;
	int i;

	(void)state;
	open_file("/f");
	first = fork_table();
	for (i = 1; i < PROTOCOL_FORKS_MOST; i++)
		fork_table();
	assert_int_equal(forks_create(&forks, &parent, &table, PROTOCOL_VERSION_2, &ident),
	    -EMFILE);
	assert_int_equal(ident, 7);
	take_and_close(first);
	fork_table();
	assert_int_equal(forks_create(&forks, &parent, &table, PROTOCOL_VERSION_2, &ident),
	    -EMFILE);
}

static void
the_server_has_so_many_forks_and_no_more(void **state)
{
	struct fork_parent *other = NULL;
	uint64_t before, ident = 7;

	(void)state;
	open_file("/f");
	storage.accounts.limit[ACCOUNT_FORKS] = 3;
	fork_table();
	fork_table();
	assert_int_equal(forks_create(&forks, &other, &table, PROTOCOL_VERSION_2, &ident), 0);
	before = charged();
	assert_int_equal(forks_create(&forks, &other, &table, PROTOCOL_VERSION_2, &ident), -EMFILE);
	assert_int_equal(forks_create(&forks, &parent, &table, PROTOCOL_VERSION_2, &ident),
	    -EMFILE);
	assert_int_equal(charged(), before);
	/* Those in their grace count, too. */
	forks_parent_ended(other);
	assert_int_equal(forks_create(&forks, &parent, &table, PROTOCOL_VERSION_2, &ident),
	    -EMFILE);
	storage_pass_ms(PROTOCOL_FORK_GRACE_MS);
	fork_table();
}

/* Whatever is missing, a fork that fails leaves nothing behind, and succeeds later. */
static void
without_memory_in_the_quota_there_is_no_fork(void **state)
{
	struct memfile *f = open_many();
	uint64_t before = charged(), room, ident;
	int failures = 0;

	(void)state;
	for (room = 0;; room += 8) {
		storage.accounts.limit[ACCOUNT_MEMORY] = before + room;
		if (forks_create(&forks, &parent, &table, PROTOCOL_VERSION_2, &ident) == 0)
			break;
		failures++;
		assert_int_equal(f->references, DESCRIPTORS);
		assert_int_equal(pending(), 0);
		end_parent();
		assert_int_equal(charged(), before);
	}
	assert_true(failures > 10);
	assert_true(charged() <= before + room);
	storage.accounts.limit[ACCOUNT_MEMORY] = UINT64_MAX;
	take_and_close(ident);
}

static void
a_child_without_memory_may_come_again(void **state)
{
	struct memfile *f = open_many();
	uint64_t ident = fork_table(), before = charged(), room;

	(void)state;
	for (room = 0;; room += 1000) {
		storage.accounts.limit[ACCOUNT_MEMORY] = before + room;
		if (take(ident) == 0)
			break;
		assert_int_equal(take(ident), -ENOMEM);
		assert_int_equal(child.count, 0);
		assert_int_equal(charged(), before);
		assert_int_equal(pending(), 1);
		assert_int_equal(f->references, 2 * DESCRIPTORS);
	}
	assert_true(room > 0);
	assert_int_equal(child.count, DESCRIPTORS);
	assert_int_equal(f->references, 2 * DESCRIPTORS);
}

static void
a_child_is_charged_to_its_own_account(void **state)
{
	struct account *other;
	uint64_t before;

	(void)state;
	assert_int_equal(account_get(&storage.accounts, "other", &other), 0);
	child.account = other;
	open_many();
	before = charged();
	assert_int_equal(take(fork_table()), 0);
	end_parent();
	assert_int_equal(charged(), before);
	assert_true(other->used[ACCOUNT_MEMORY] >= DESCRIPTORS * sizeof(struct desc));
	fdtable_fini(&child);
	assert_int_equal(other->used[ACCOUNT_MEMORY], 0);
	fdtable_init(&child, storage.account);
	account_put(other);
}

static void
versions_are_apart_if_the_store_says_so(void **state)
{
	uint64_t ident;

	(void)state;
	forks.separates_versions = true;
	open_file("/f");
	ident = fork_table();
	assert_int_equal(forks_take(&forks, ident, PROTOCOL_VERSION_1, NULL, &child), -EINVAL);
	assert_int_equal(forks_take(&forks, ident, PROTOCOL_VERSION_2, NULL, &child), 0);
	fdtable_fini(&child);
	forks.separates_versions = false;
	ident = fork_table();
	assert_int_equal(forks_take(&forks, ident, PROTOCOL_VERSION_1, NULL, &child), 0);
}

static void
forks_outlive_their_parent_by_the_grace(void **state)
{
	uint64_t idents[3];
	int i;

	(void)state;
	open_file("/f");
	for (i = 0; i < 3; i++)
		idents[i] = fork_table();
	storage_pass_ms(10 * PROTOCOL_FORK_GRACE_MS);
	take_and_close(idents[0]);
	fdtable_fini(&table);
	end_parent();
	storage_pass_ms(PROTOCOL_FORK_GRACE_MS - 1);
	take_and_close(idents[2]);
	assert_int_equal(storage.tree.count, 1);
	storage_pass_ms(1);
	assert_int_equal(take(idents[1]), -EINVAL);
	assert_int_equal(storage.tree.count, 0);
}

static void
one_timer_is_that_of_the_first_grace(void **state)
{
	uint64_t first, ident;

	(void)state;
	open_file("/f");
	fork_table();
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
	end_parent();
	first = clock_after_ms(storage.now, PROTOCOL_FORK_GRACE_MS);
	assert_int_equal(timer_next(&storage.timers), first);
	storage_pass_ms(5);
	ident = fork_table();
	end_parent();
	assert_int_equal(timer_next(&storage.timers), first);
	storage_pass_ms(PROTOCOL_FORK_GRACE_MS - 5);
	assert_int_equal(pending(), 1);
	assert_int_equal(timer_next(&storage.timers), first + 5 * CLOCK_MS);
	/* When the last fork of a parent is taken, its grace is over. */
	take_and_close(ident);
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
}

static void
a_parent_without_forks_has_no_grace(void **state)
{
	uint64_t before = charged();

	(void)state;
	end_parent();
	take_and_close(fork_table());
	end_parent();
	assert_int_equal(charged(), before);
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
}

/* Moves the time to the end of the grace, without running a task. */
static void
end_grace(void)
{
	storage.now = clock_after_ms(storage.now, PROTOCOL_FORK_GRACE_MS);
	timer_run(&storage.timers, storage.now, &BUDGET_UNLIMITED);
}

/* A fork loses its ident and its files in one step, of which a spent budget allows one a turn. */
static void
forks_end_in_pieces(void **state)
{
	struct memfile *f = open_many();
	uint64_t idents[FORKS];
	int i, turns;

	(void)state;
	for (i = 0; i < FORKS; i++)
		idents[i] = fork_table();
	end_parent();
	end_grace();
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
	for (turns = 0; turns < FORKS / 2; turns++) {
		assert_int_equal(pending(), FORKS - turns);
		assert_int_equal(f->references, (FORKS - turns + 1) * DESCRIPTORS);
		assert_true(schedule_run(&storage.schedule, &storage_spent));
	}
	/* The others are as good as before. */
	for (i = 0; i < FORKS / 2; i++)
		assert_int_equal(take(idents[i]), -EINVAL);
	take_and_close(idents[FORKS / 2]);
	for (turns++; turns < FORKS; turns++)
		assert_true(schedule_run(&storage.schedule, &storage_spent));
	assert_int_equal(pending(), 0);
	assert_int_equal(f->references, DESCRIPTORS);
	assert_true(schedule_is_idle(&storage.schedule));
}

static void
a_budget_that_is_not_spent_ends_all_in_one_turn(void **state)
{
	int i;

	(void)state;
	open_many();
	for (i = 0; i < FORKS; i++)
		fork_table();
	end_parent();
	end_grace();
	assert_true(schedule_run(&storage.schedule, &BUDGET_UNLIMITED));
	assert_int_equal(pending(), 0);
	assert_true(schedule_is_idle(&storage.schedule));
}

static void
the_last_one_may_be_taken_before_its_turn_comes(void **state)
{
	uint64_t ident;

	(void)state;
	open_file("/f");
	ident = fork_table();
	end_parent();
	end_grace();
	assert_false(schedule_is_idle(&storage.schedule));
	take_and_close(ident);
	assert_true(schedule_is_idle(&storage.schedule));
}

static void
the_forks_of_two_accounts_end_in_turns(void **state)
{
	struct fork_parent *other_parent = NULL;
	struct account *other;
	struct fdtable others;
	struct memfile *f;
	struct desc *d;
	uint64_t ident;
	int i;

	(void)state;
	assert_int_equal(account_get(&storage.accounts, "other", &other), 0);
	fdtable_init(&others, other);
	f = open_file("/f")->file;
	memfile_ref(f);
	assert_int_equal(fdtable_open(&others, f, NULL, &d), 0);
	for (i = 0; i < FORKS; i++)
		fork_table();
	assert_int_equal(forks_create(&forks, &other_parent, &others, PROTOCOL_VERSION_2, &ident),
	    0);
	end_parent();
	forks_parent_ended(other_parent);
	fdtable_fini(&others);
	/* The account lives on with its fork. */
	account_put(other);
	end_grace();
	assert_true(schedule_run(&storage.schedule, &storage_spent));
	assert_true(schedule_run(&storage.schedule, &storage_spent));
	assert_int_equal(storage.accounts.used[ACCOUNT_FORKS], FORKS - 1);
	assert_int_equal(pending(), FORKS - 1);
}

static void
the_end_of_the_server_waits_for_no_grace(void **state)
{
	uint64_t ident;
	int i;

	(void)state;
	open_many();
	for (i = 0; i < FORKS; i++) {
		ident = fork_table();
		end_parent();
		storage_pass_ms(10);
	}
	fdtable_fini(&table);
	forks_end_graces(&forks);
	storage_tasks();
	assert_int_equal(take(ident), -EINVAL);
	assert_int_equal(storage.tree.count, 0);
	assert_int_equal(pending(), 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_child_gets_the_numbers_files_and_versions),
		TEST(an_empty_table_has_forks_too),
		TEST(an_ident_is_good_once),
		TEST(forks_of_an_unchanged_table_share_its_copy),
		TEST(a_change_ends_the_sharing),
		TEST(each_fork_counts_as_open_descriptors),
		TEST(a_cancelled_fork_leaves_nothing),
		TEST(a_session_has_so_many_forks_and_no_more),
		TEST(the_server_has_so_many_forks_and_no_more),
		TEST(without_memory_in_the_quota_there_is_no_fork),
		TEST(a_child_without_memory_may_come_again),
		TEST(a_child_is_charged_to_its_own_account),
		TEST(versions_are_apart_if_the_store_says_so),
		TEST(forks_outlive_their_parent_by_the_grace),
		TEST(one_timer_is_that_of_the_first_grace),
		TEST(a_parent_without_forks_has_no_grace),
		TEST(forks_end_in_pieces),
		TEST(a_budget_that_is_not_spent_ends_all_in_one_turn),
		TEST(the_last_one_may_be_taken_before_its_turn_comes),
		TEST(the_forks_of_two_accounts_end_in_turns),
		TEST(the_end_of_the_server_waits_for_no_grace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
