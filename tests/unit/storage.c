#include "tests/unit/storage.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

enum { START_S = 1000 };

struct storage storage;

static uint64_t
always_late(void)
{
	return 1;
}

const struct budget storage_spent = { .clock = always_late, .until = 0 };

static void
granted(struct claim *c)
{
	(void)c;
	fail_msg("a claim was granted although none waits");
}

void
storage_begin(const struct store_ops *store, const char *directory, uint64_t segments)
{
	const uint64_t limit
	    [ACCOUNT_QUOTAS] = { [ACCOUNT_SEGMENTS] = segments, [ACCOUNT_MEMORY] = UINT64_MAX };
	void *context = NULL;

	if (store->start != NULL)
		assert_int_equal(store->start(&context, directory), 0);
	storage.store = store;
	storage.now = START_S * CLOCK_SEC;
	timer_queue_init(&storage.timers);
	schedule_init(&storage.schedule);
	accounts_init(&storage.accounts, limit);
	assert_int_equal(account_get(&storage.accounts, "test", &storage.account), 0);
	memfile_tree_init(&storage.tree, store, context, &storage.timers, &storage.now,
	    &storage.schedule, granted);
}

void
storage_end(void)
{
	int i;

	storage_tasks();
	assert_int_equal(storage.tree.count, 0);
	assert_int_equal(storage.tree.ending, 0);
	for (i = 0; i < ACCOUNT_QUOTAS; i++)
		assert_int_equal(storage.accounts.used[i], 0);
	account_put(storage.account);
	if (storage.store->stop != NULL)
		storage.store->stop(storage.tree.store_context);
	accounts_fini(&storage.accounts);
}

void
storage_tasks(void)
{
	while (schedule_run(&storage.schedule, &storage_spent))
		continue;
}

void
storage_pass_ms(uint64_t ms)
{
	uint64_t then = clock_after_ms(storage.now, ms), next;

	while ((next = timer_next(&storage.timers)) <= then) {
		storage.now = next > storage.now ? next : storage.now;
		timer_run(&storage.timers, storage.now, &BUDGET_UNLIMITED);
		storage_tasks();
	}
	storage.now = then;
}

struct memfile *
storage_get(const char *name, enum protocol_version version)
{
	struct memfile *f;

	assert_int_equal(memfile_get(&storage.tree, name, strlen(name), PROTOCOL_OPEN_CREATE,
			     version, storage.account, &f),
	    0);
	return f;
}

struct memfile *
storage_get_mapped(const char *name, enum protocol_version version, uint32_t size)
{
	struct memfile *f = storage_get(name, version);

	assert_int_equal(memfile_map(f, size, STORAGE_SEGMENT_MOST), 0);
	return f;
}

/* What others see of a segment. */
struct sight {
	struct store_usage usage;
	uint64_t newest;
	uint64_t *versions; /* a copy */
};

static struct sight
look(const struct memfile *f)
{
	struct sight s = { .newest = f->blocks.newest };

	s.versions = malloc(f->blocks.count * sizeof *s.versions);
	assert_non_null(s.versions);
	memcpy(s.versions, f->blocks.versions, f->blocks.count * sizeof *s.versions);
	storage.store->usage(f, &s.usage);
	return s;
}

static void
expect_unchanged(const struct memfile *f, const struct sight *before)
{
	struct sight now = look(f);

	assert_int_equal(now.newest, before->newest);
	assert_memory_equal(&now.usage, &before->usage, sizeof now.usage);
	assert_memory_equal(now.versions, before->versions, f->blocks.count * sizeof *now.versions);
	free(now.versions);
}

static struct store_publication *
begin(uint64_t grant, const void *body, size_t size)
{
	struct store_publication *p = calloc(1, sizeof *p);

	assert_non_null(p);
	p->grant = grant;
	p->body = wire_reader(body, size);
	return p;
}

/* A server may keep it in another place in between. */
static struct store_publication *
move(struct store_publication *p)
{
	struct store_publication *moved = malloc(sizeof *moved);

	assert_non_null(moved);
	*moved = *p;
	memset(p, 0xff, sizeof *p);
	free(p);
	return moved;
}

int
storage_publish(struct memfile *f,
    int (*publish)(struct memfile *, struct store_publication *, const struct budget *),
    uint64_t grant, const void *body, size_t size, unsigned *calls)
{
	struct store_publication *p = begin(grant, body, size);
	struct sight before = look(f);
	int r;

	for (*calls = 1; (r = publish(f, p, &storage_spent)) == -EINPROGRESS; (*calls)++) {
		expect_unchanged(f, &before);
		p = move(p);
	}
	free(p);
	if (r != 0)
		expect_unchanged(f, &before);
	free(before.versions);
	return r;
}

typedef size_t put(const struct memfile *, struct store_cursor *, uint8_t *, size_t);

/* Writes what c is the cursor of. */
static size_t
write_all(const struct memfile *f, put *op, struct store_cursor *c, uint8_t *out, size_t room)
{
	size_t size = (size_t)c->size, at = 0, some, n;

	assert_true(size <= room);
	while (c->size > 0) {
		some = STORE_ROOM_LEAST + (size_t)random() % (random() % 2 ? 100 : 100000);
		if (some > size - at && size - at >= STORE_ROOM_LEAST)
			some = size - at;
		if (some > room - at)
			some = room - at;
		n = op(f, c, out + at, some);
		assert_in_range(n, 1, some);
		at += n;
		assert_int_equal(c->size, size - at);
	}
	return at;
}

size_t
storage_grant(const struct memfile *f, uint64_t since, uint8_t *out, size_t room)
{
	struct store_cursor c;

	storage.store->grant_begin(f, since, &c);
	return write_all(f, storage.store->grant_put, &c, out, room);
}

size_t
storage_lock(const struct memfile *f, uint8_t *out, size_t room)
{
	struct store_cursor c;

	storage.store->lock_begin(f, &c);
	return write_all(f, storage.store->lock_put, &c, out, room);
}
