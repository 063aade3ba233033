/*
 * ground: what it says of a system that lacks a call, of one that has only a part of what is
 * needed, and of a shortage, which says nothing (host/ground.h).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/base/error.h"
#include "common/base/size.h"
#include "common/client/replica.h"
#include "common/client/track/dirty_auto.h"
#include "common/client/track/dirty_uffd.h"
#include "common/host/ground.h"
#include "tests/stress/libos.h"
#include "tests/unit/body.h"

/* Each test asks in a forked child: no answer is known there before. */
static bool
forbid(int call, int error)
{
	if (libos_forbid(&call, 1, error) == 0)
		return true;
	printf("this system has no seccomp filters: nothing is proved\n");
	return false;
}

static int
lack_calls(void)
{
	static const struct {
		enum ground_fact fact;
		int call;
	} rows[] = { { GROUND_STATX, SYS_statx }, { GROUND_FLOCK, SYS_flock },
		{ GROUND_USERFAULTFD, SYS_userfaultfd }, { GROUND_SIGNALFD, SYS_signalfd4 },
		{ GROUND_PARENT_DEATH, SYS_prctl } };
	size_t i;

	/* prctl(2), which installs filters, is the last. */
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (!forbid(rows[i].call, ENOSYS))
			return 0;
		/* The C library may try another way, and report that it fails. */
		EXPECT(ground_error(rows[i].fact) < 0);
		EXPECT(!ground_has(rows[i].fact));
	}
	return 0;
}

static void
a_call_that_is_missing_is_missed(void **state)
{
	(void)state;
	body_run(lack_calls);
}

static int
lack_kernel_locks(void)
{
	if (libos_forbid_locks(EINVAL) != 0)
		return 0;
	EXPECT(ground_error(GROUND_KERNEL_LOCKS) == -EINVAL);
	return 0;
}

static void
kernel_locks_that_are_missing_are_missed(void **state)
{
	(void)state;
	body_run(lack_kernel_locks);
}

/* userfaultfd(2) is there, and /proc/self/pagemap, which lists the pages, is not. */
static int
lack_the_pagemap(void)
{
	struct replica replica = { 0 };
	int i;

	if (!forbid(SYS_openat, EACCES))
		return 0;
	EXPECT(!ground_has(GROUND_USERFAULTFD));
	error_begin();
	EXPECT(replica_map(&replica, NULL, SIZE_MIB, false, &dirty_uffd) == -ENOTSUP);
	EXPECT(strstr(error_text(), "track=uffd") != NULL);
	EXPECT(replica_map(&replica, NULL, SIZE_MIB, false, &dirty_auto) == 0);
	EXPECT(replica_begin(&replica) == 0);
	for (i = 0; i < 20; i++)
		EXPECT(replica_collect(&replica) == 0 && replica.dirty.count == 0);
	EXPECT(!dirty_auto_is_watching(&replica.dirty));
	replica_unmap(&replica);
	return 0;
}

static void
written_pages_need_the_pagemap_too(void **state)
{
	(void)state;
	body_run(lack_the_pagemap);
}

/* Limits the descriptors to count; *before is what the limit was. */
static bool
limit_descriptors(rlim_t count, rlim_t *before)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return false;
	*before = limit.rlim_cur;
	limit.rlim_cur = count;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static int
lack_descriptors(void)
{
	static const enum ground_fact facts[] = { GROUND_FLOCK, GROUND_KERNEL_LOCKS,
		GROUND_SIGNALFD };
	rlim_t usual, none;
	size_t i;

	EXPECT(limit_descriptors(0, &usual));
	for (i = 0; i < sizeof facts / sizeof facts[0]; i++)
		EXPECT(ground_error(facts[i]) == -EMFILE);
	EXPECT(limit_descriptors(usual, &none));
	for (i = 0; i < sizeof facts / sizeof facts[0]; i++)
		EXPECT(ground_error(facts[i]) != -EMFILE);
	return 0;
}

static void
a_shortage_is_no_answer(void **state)
{
	(void)state;
	body_run(lack_descriptors);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_is_missing_is_missed),
		cmocka_unit_test(kernel_locks_that_are_missing_are_missed),
		cmocka_unit_test(written_pages_need_the_pagemap_too),
		cmocka_unit_test(a_shortage_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
