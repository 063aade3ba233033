#include "tests/unit/tracked.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/host/ground.h"

struct replica replica;
struct dirty *const dirty = &replica.dirty;

void
tracked_need_uffd(void)
{
	if (ground_has(GROUND_USERFAULTFD))
		return;
	printf("skipped: this system does not let us ask for written pages (userfaultfd)\n");
	skip();
}

void
tracked_begin(void **state, uint32_t size)
{
	const struct dirty_ops *ops = *state;

	if (ops == &dirty_uffd)
		tracked_need_uffd();
	replica = (struct replica){ 0 };
	assert_int_equal(replica_map(&replica, NULL, size, false, ops), 0);
	assert_int_equal(replica_begin(&replica), 0);
}

void
tracked_end(void)
{
	replica_unmap(&replica);
	assert_false(replica_is_mapped(&replica));
}

void
tracked_wrote(uint32_t offset, uint32_t length)
{
	replica_hint(&replica, offset, length);
}

void
tracked_set(uint32_t offset, int value, uint32_t length)
{
	memset(dirty->base + offset, value, length);
	tracked_wrote(offset, length);
}

void
tracked_idle(void)
{
	int i;

	for (i = 0; i < 10; i++)
		tracked_expect_nothing();
	if (dirty->ops == &dirty_auto && dirty->size > 4 * DIRTY_AUTO_SMALL &&
	    ground_has(GROUND_USERFAULTFD))
		assert_true(dirty_auto_is_watching(dirty));
}

void
tracked_expect_piece(uint32_t offset, uint32_t length)
{
	assert_int_equal(replica_collect(&replica), 0);
	assert_int_equal(dirty->count, 1);
	assert_int_equal(dirty->pieces[0].offset, offset);
	assert_int_equal(dirty->pieces[0].length, length);
	assert_memory_equal(dirty->shadow + offset, dirty->base + offset, length);
}

void
tracked_expect_nothing(void)
{
	assert_int_equal(replica_collect(&replica), 0);
	assert_int_equal(dirty->count, 0);
}

void
tracked_grant(uint64_t version, uint32_t offset, const void *bytes, uint32_t length)
{
	replica_grant_begin(&replica, version);
	replica_grant_write(&replica, offset, bytes, length);
	replica_grant_end(&replica, version);
}
