/*
 * The table of present processes: slots end with their owners, whatever closes or kills these, and
 * no process is taken for dead unless it is dead for certain (smc/FORMAT 3). A *seat* is a
 * description with a mapping, as a process has it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/lock/presence.h"
#include "tests/stress/scratch.h"

enum { TABLE_AT = 256, FILE_SIZE = 8192, TICKET = 4711, RECOVERY_MS = 20 };

static bool is_without_locks; /* the system does not have these locks */

int fake_fcntl(int fd, int command, ...) __asm__("fcntl");
int fake_fcntl64(int fd, int command, ...) __asm__("fcntl64") __attribute__((alias("fcntl")));

static int
call_fcntl(int fd, int command, void *arg)
{
	if (is_without_locks && (command == F_OFD_SETLK || command == F_OFD_GETLK)) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, command, arg);
}

int
fake_fcntl(int fd, int command, ...)
{
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	return call_fcntl(fd, command, arg);
}

struct seat {
	int fd;
	uint8_t *base;
	struct presence presence;
};

static char dir[SCRATCH_PATH_SIZE], path[SCRATCH_PATH_SIZE + 16];
static struct seat here, there;

static void
sit_down(struct seat *s)
{
	struct ownfd descriptor;

	s->fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_not_equal(s->fd, -1);
	s->base = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	assert_true(s->base != MAP_FAILED);
	descriptor = ownfd_of(s->fd);
	presence_init(&s->presence, (presence_slot *)(void *)(s->base + TABLE_AT), TABLE_AT,
	    &descriptor, !is_without_locks);
	s->presence.untrusted_recovery_lock = (_Atomic uint32_t *)(void *)s->base;
}

/* Ends a seat as a process that dies does. */
static void
die(struct seat *s)
{
	(void)munmap(s->base, FILE_SIZE);
	(void)close(s->fd);
}

static int
begin(void **state)
{
	int fd;

	(void)state;
	is_without_locks = false;
	scratch_create(dir);
	snprintf(path, sizeof path, "%s/table", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, FILE_SIZE), 0);
	(void)close(fd);
	sit_down(&here);
	sit_down(&there);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	die(&here);
	die(&there);
	scratch_remove(dir);
	return 0;
}

static void
each_has_a_slot_of_its_own_until_it_leaves(void **state)
{
	(void)state;
	assert_int_equal(presence_count(&here.presence), 0);
	assert_int_equal(presence_claim(&here.presence), 0);
	assert_false(presence_has_others(&here.presence));
	assert_int_equal(presence_claim(&there.presence), 0);
	assert_int_not_equal(here.presence.own, there.presence.own);
	assert_true(presence_has_others(&here.presence));
	assert_true(presence_has_others(&there.presence));
	assert_int_equal(presence_count(&here.presence), 2);
	presence_release(&there.presence);
	presence_release(&there.presence);
	assert_false(presence_has_others(&here.presence));
	assert_true(presence_has_others(&there.presence));
	assert_int_equal(presence_count(&there.presence), 1);
}

static void
slot_of_the_dead_is_taken_anew_with_another_generation(void **state)
{
	uint64_t before;
	int slot;

	(void)state;
	assert_int_equal(presence_claim(&here.presence), 0);
	presence_set(&here.presence, PRESENCE_ABANDONED, TICKET);
	slot = here.presence.own;
	before = here.presence.untrusted_slots[slot];
	die(&here);
	assert_int_equal(presence_claim(&there.presence), 0);
	assert_int_equal(there.presence.own, slot);
	assert_int_not_equal(there.presence.untrusted_slots[slot], before);
	/* The slot's words are void after the death. */
	assert_false(presence_drop_abandoned(&there.presence, TICKET));
	sit_down(&here);
}

static void
descriptor_may_go_while_the_mapping_stays(void **state)
{
	(void)state;
	assert_int_equal(presence_claim(&here.presence), 0);
	assert_int_equal(presence_claim(&there.presence), 0);
	presence_set(&there.presence, PRESENCE_WAITING, TICKET);
	(void)close(there.fd);
	assert_true(presence_has_others(&here.presence));
	assert_false(presence_is_dead(&here.presence, TICKET));
	(void)munmap(there.base, FILE_SIZE);
	assert_false(presence_has_others(&here.presence));
	assert_true(presence_is_dead(&here.presence, TICKET));
	sit_down(&there);
}

static void
ticket_is_dead_only_if_no_living_process_may_have_it(void **state)
{
	static const struct {
		enum presence_state state;
		uint32_t ticket;
		bool is_dead;
	} kinds[] = {
		{ PRESENCE_IDLE, TICKET, true },
		{ PRESENCE_CLAIMING, 0, false },
		{ PRESENCE_WAITING, TICKET, false },
		{ PRESENCE_WAITING, TICKET - 1, true },
		{ PRESENCE_WAITING, TICKET + 1, true },
		{ PRESENCE_ABANDONED, TICKET, false },
		{ PRESENCE_ABANDONED, TICKET + 1, true },
	};
	size_t i;

	(void)state;
	assert_int_equal(presence_claim(&here.presence), 0);
	assert_true(presence_is_dead(&here.presence, TICKET));
	for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		assert_int_equal(presence_claim(&there.presence), 0);
		presence_set(&there.presence, kinds[i].state, kinds[i].ticket);
		assert_int_equal(presence_is_dead(&here.presence, TICKET), kinds[i].is_dead);
		/*
		 * Of a dead owner only an abandoned ticket counts: it is skipped, not taken over.
		 */
		die(&there);
		assert_int_equal(presence_is_dead(&here.presence, TICKET),
		    kinds[i].state != PRESENCE_ABANDONED || kinds[i].is_dead);
		sit_down(&there);
	}
}

static void
abandoned_ticket_has_one_taker(void **state)
{
	(void)state;
	assert_int_equal(presence_claim(&here.presence), 0);
	assert_int_equal(presence_claim(&there.presence), 0);
	presence_set(&there.presence, PRESENCE_ABANDONED, TICKET);
	assert_false(presence_drop_abandoned(&here.presence, TICKET + 1));
	assert_true(presence_drop_abandoned(&here.presence, TICKET));
	assert_false(presence_drop_abandoned(&here.presence, TICKET));
	assert_false(presence_resume(&there.presence, TICKET));
	presence_set(&there.presence, PRESENCE_ABANDONED, TICKET);
	assert_true(presence_resume(&there.presence, TICKET));
	assert_false(presence_drop_abandoned(&here.presence, TICKET));
	assert_false(presence_resume(&there.presence, TICKET));
}

static void
recovery_lock_has_one_holder(void **state)
{
	uint64_t before;

	(void)state;
	assert_int_equal(presence_lock_recovery(&here.presence, 0), 0);
	assert_int_equal(presence_lock_recovery(&there.presence, 0), -ETIMEDOUT);
	before = clock_now();
	assert_int_equal(presence_lock_recovery(&there.presence,
			     clock_after_ms(before, RECOVERY_MS)),
	    -ETIMEDOUT);
	assert_true(clock_now() >= clock_after_ms(before, RECOVERY_MS));
	presence_unlock_recovery(&here.presence);
	assert_int_equal(presence_lock_recovery(&there.presence, 0), 0);
	/* It is no slot. */
	assert_int_equal(presence_count(&here.presence), 0);
	die(&there);
	assert_int_equal(presence_lock_recovery(&here.presence, 0), 0);
	presence_unlock_recovery(&here.presence);
	sit_down(&there);
}

/*
 * A process that has lost its descriptor cannot check the others any more: it takes none for dead.
 */
static void
lost_descriptor_is_noticed(void **state)
{
	char other[sizeof path + 8];
	int fd;

	(void)state;
	assert_int_equal(presence_claim(&here.presence), 0);
	assert_int_equal(presence_claim(&there.presence), 0);
	presence_set(&there.presence, PRESENCE_WAITING, TICKET);
	(void)close(here.fd);
	assert_int_equal(presence_lock_recovery(&here.presence, 0), -EBADF);
	assert_false(presence_is_dead(&here.presence, TICKET));
	/* The program has a file of its own under that number. */
	snprintf(other, sizeof other, "%s.own", path);
	fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd, here.fd);
	assert_false(presence_is_dead(&here.presence, TICKET));
	assert_int_equal(presence_lock_recovery(&here.presence, 0), -EBADF);
}

static void
table_has_480_slots(void **state)
{
	static struct seat seats[PRESENCE_SLOTS];
	struct rlimit before, files;
	int i;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	files = before;
	files.rlim_cur = PRESENCE_SLOTS + 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (i = 0; i < PRESENCE_SLOTS; i++) {
		sit_down(&seats[i]);
		assert_int_equal(presence_claim(&seats[i].presence), 0);
		assert_int_equal(seats[i].presence.own, i);
	}
	assert_int_equal(presence_claim(&here.presence), -EUSERS);
	assert_int_equal(here.presence.own, PRESENCE_NONE);
	assert_int_equal(presence_count(&here.presence), PRESENCE_SLOTS);
	/* The last slot counts as the first one does. */
	presence_set(&seats[PRESENCE_SLOTS - 1].presence, PRESENCE_WAITING, TICKET);
	assert_false(presence_is_dead(&here.presence, TICKET));
	die(&seats[77]);
	assert_int_equal(presence_claim(&here.presence), 0);
	assert_int_equal(here.presence.own, 77);
	sit_down(&seats[77]);
	for (i = 0; i < PRESENCE_SLOTS; i++)
		die(&seats[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* The seats, without kernel locks. */
static void
do_without_locks(void)
{
	die(&here);
	die(&there);
	is_without_locks = true;
	sit_down(&here);
	sit_down(&there);
}

static void
kernel_locks_are_found_without_locking(void **state)
{
	(void)state;
	assert_true(presence_has_kernel_locks(here.fd));
	assert_int_equal(presence_lock_recovery(&here.presence, 0), 0);
	assert_true(presence_has_kernel_locks(there.fd));
	presence_unlock_recovery(&here.presence);
	is_without_locks = true;
	assert_false(presence_has_kernel_locks(here.fd));
}

static void
without_locks_a_slot_is_had_for_a_ticket_only(void **state)
{
	uint64_t before;

	(void)state;
	do_without_locks();
	assert_true(presence_begin(&here.presence));
	assert_int_equal(here.presence.own, 0);
	assert_true(presence_begin(&there.presence));
	assert_int_equal(there.presence.own, 1);
	presence_set(&here.presence, PRESENCE_WAITING, TICKET);
	before = here.presence.untrusted_slots[0];
	presence_end(&here.presence);
	assert_int_equal(here.presence.own, PRESENCE_NONE);
	/* The slot is free again, for another generation. */
	presence_end(&there.presence);
	assert_true(presence_begin(&there.presence));
	assert_int_equal(there.presence.own, 0);
	presence_set(&there.presence, PRESENCE_WAITING, TICKET);
	assert_int_not_equal(there.presence.untrusted_slots[0], before);
}

static void
without_locks_an_abandoned_ticket_keeps_its_slot_until_it_is_skipped(void **state)
{
	(void)state;
	do_without_locks();
	assert_true(presence_begin(&here.presence));
	presence_set(&here.presence, PRESENCE_ABANDONED, TICKET);
	/* Its owner may close the file, or exit. */
	presence_release(&here.presence);
	assert_true(presence_begin(&there.presence));
	assert_int_equal(there.presence.own, 1);
	assert_true(presence_drop_abandoned(&there.presence, TICKET));
	assert_true(presence_begin(&here.presence));
	assert_int_equal(here.presence.own, 0);
	/* An owner that comes back too late does not get the slot of another. */
	presence_set(&here.presence, PRESENCE_ABANDONED, TICKET);
	assert_true(presence_drop_abandoned(&there.presence, TICKET));
	there.presence.own = PRESENCE_NONE;
	assert_true(presence_begin(&there.presence));
	assert_int_equal(there.presence.own, 0);
	presence_set(&there.presence, PRESENCE_ABANDONED, TICKET);
	assert_false(presence_resume(&here.presence, TICKET));
	assert_true(presence_resume(&there.presence, TICKET));
}

static void
without_locks_no_ticket_is_ever_dead(void **state)
{
	(void)state;
	do_without_locks();
	assert_false(presence_is_dead(&here.presence, TICKET));
	assert_true(presence_begin(&there.presence));
	presence_set(&there.presence, PRESENCE_WAITING, TICKET);
	die(&there);
	assert_false(presence_is_dead(&here.presence, TICKET));
	sit_down(&there);
}

static void
without_locks_a_table_without_a_free_slot_says_so(void **state)
{
	struct presence first;
	int i;

	(void)state;
	do_without_locks();
	for (i = 0; i < PRESENCE_SLOTS; i++) {
		assert_true(presence_begin(&here.presence));
		assert_int_equal(here.presence.own, i);
		if (i == 0)
			first = here.presence;
	}
	assert_false(presence_begin(&there.presence));
	presence_end(&first);
	assert_true(presence_begin(&there.presence));
	assert_int_equal(there.presence.own, 0);
}

static void
without_locks_the_recovery_lock_is_a_word(void **state)
{
	(void)state;
	do_without_locks();
	assert_int_equal(presence_lock_recovery(&here.presence, 0), 0);
	assert_int_equal(presence_lock_recovery(&there.presence, 0), -ETIMEDOUT);
	presence_unlock_recovery(&there.presence);
	assert_int_equal(presence_lock_recovery(&there.presence, 0), -ETIMEDOUT);
	presence_unlock_recovery(&here.presence);
	assert_int_equal(presence_lock_recovery(&there.presence, 0), 0);
	/* It stays locked when its holder dies. */
	die(&there);
	assert_int_equal(presence_lock_recovery(&here.presence, 0), -ETIMEDOUT);
	sit_down(&there);
}

/* A lying host can make processes wait or fail, and no more. */
static void
nonsense_in_the_table_does_no_harm(void **state)
{
	unsigned seed = 1;
	size_t i;
	int round;

	(void)state;
	assert_int_equal(presence_claim(&here.presence), 0);
	for (round = 0; round < 50; round++) {
		for (i = TABLE_AT; i < TABLE_AT + PRESENCE_SLOTS * sizeof(presence_slot); i++)
			here.base[i] = (uint8_t)rand_r(&seed);
		(void)presence_is_dead(&here.presence, TICKET);
		(void)presence_drop_abandoned(&here.presence, TICKET);
		(void)presence_resume(&here.presence, TICKET);
		assert_int_equal(presence_count(&here.presence), 1);
		assert_int_equal(presence_claim(&there.presence), 0);
		presence_release(&there.presence);
		presence_set(&here.presence, PRESENCE_IDLE, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(each_has_a_slot_of_its_own_until_it_leaves),
		TEST(slot_of_the_dead_is_taken_anew_with_another_generation),
		TEST(descriptor_may_go_while_the_mapping_stays),
		TEST(ticket_is_dead_only_if_no_living_process_may_have_it),
		TEST(abandoned_ticket_has_one_taker),
		TEST(recovery_lock_has_one_holder),
		TEST(lost_descriptor_is_noticed),
		TEST(table_has_480_slots),
		TEST(kernel_locks_are_found_without_locking),
		TEST(without_locks_a_slot_is_had_for_a_ticket_only),
		TEST(without_locks_an_abandoned_ticket_keeps_its_slot_until_it_is_skipped),
		TEST(without_locks_no_ticket_is_ever_dead),
		TEST(without_locks_a_table_without_a_free_slot_says_so),
		TEST(without_locks_the_recovery_lock_is_a_word),
		TEST(nonsense_in_the_table_does_no_harm),
	};

	return cmocka_run_group_tests_name("presence", tests, NULL, NULL);
}
