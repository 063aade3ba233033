#include "common/server/core/memfile.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/size.h"
#include "common/crypto/random.h"
#include "common/server/core/account.h"

static int
compare_names(struct memfile *a, struct memfile *b)
{
	uint32_t shorter = a->name_size < b->name_size ? a->name_size : b->name_size;
	int order = memcmp(a->name, b->name, shorter);

	if (order != 0)
		return order;
	return a->name_size < b->name_size ? -1 : a->name_size > b->name_size;
}

static int
compare_serials(struct memfile *a, struct memfile *b)
{
	return a->serial < b->serial ? -1 : a->serial > b->serial;
}

RB_PROTOTYPE(memfile_by_name, memfile, by_name, compare_names)
RB_GENERATE(memfile_by_name, memfile, by_name, compare_names)
RB_PROTOTYPE(memfile_by_serial, memfile, by_serial, compare_serials)
RB_GENERATE(memfile_by_serial, memfile, by_serial, compare_serials)

void
memfile_tree_init(struct memfile_tree *t, const struct store_ops *store, void *store_context,
    struct timer_queue *timers, const uint64_t *now, struct schedule *schedule,
    void (*granted)(struct claim *))
{
	*t = (struct memfile_tree){ .store = store,
		.store_context = store_context,
		.timers = timers,
		.now = now,
		.schedule = schedule,
		.granted = granted };
	RB_INIT(&t->by_name);
	RB_INIT(&t->by_serial);
}

struct memfile *
memfile_after(struct memfile_tree *t, uint64_t serial)
{
	struct memfile key = { .serial = serial };
	struct memfile *f = RB_NFIND(memfile_by_serial, &t->by_serial, &key);

	return f != NULL && f->serial == serial ? RB_NEXT(memfile_by_serial, &t->by_serial, f) : f;
}

/* An error of the store. ENOENT would say that no memory file has the name. */
static int
store_error(int error)
{
	return error == -ENOENT ? -EIO : error;
}

/* Creates the file, here and in the store; its memory is charged. */
static int
make(struct memfile_tree *t, const struct memfile *key, struct memfile **out)
{
	struct memfile *f = calloc(1, sizeof *f + key->name_size + 1);
	int error;

	if (f == NULL)
		return -ENOMEM;
	f->tree = t;
	f->version = key->version;
	f->account = key->account;
	f->charged_memory = key->charged_memory;
	f->name_size = key->name_size;
	memcpy(f->name, key->name, key->name_size);
	lockqueue_init(&f->lock, t->timers, t->now, t->granted);
	error = random_u64(&f->life);
	if (error == 0)
		error = store_error(t->store->create(f));
	if (error != 0) {
		free(f);
		return error;
	}
	*out = f;
	return 0;
}

/* Charges the account of key, and creates the file. The caller inserts it into the tree. */
static int
create(struct memfile_tree *t, struct memfile *key, struct memfile **out)
{
	struct account *account = key->account;
	int error;

	key->charged_memory = sizeof *key + key->name_size + 1 + t->store->file_size;
	error = account_take(account, ACCOUNT_MEMORY, key->charged_memory);
	if (error != 0)
		return error;
	error = make(t, key, out);
	if (error != 0)
		account_give(account, ACCOUNT_MEMORY, key->charged_memory);
	else
		account_ref(account);
	return error;
}

/* A key for the tree and for create(): a struct memfile with its name, version and account only. */
static struct memfile *
make_key(const char *name, size_t size, enum protocol_version version, struct account *account)
{
	struct memfile *key = malloc(sizeof *key + size + 1);

	if (key == NULL)
		return NULL;
	memcpy(key->name, name, size);
	key->name[size] = '\0';
	key->name_size = (uint32_t)size;
	key->version = version;
	key->account = account;
	return key;
}

static void
log_segment(const struct memfile *f, const char *event)
{
	char name[LOG_ESCAPED_SIZE];
	struct store_usage usage;

	if (f->size == 0 || !log_is_on(LOG_LEVEL_DEBUG))
		return;
	f->tree->store->usage(f, &usage);
	log_debug("segment of %s, %lu bytes, %s: %lu bytes reserved, %lu written",
	    log_escape(name, f->name, f->name_size), (unsigned long)f->size, event,
	    (unsigned long)usage.reserved, (unsigned long)usage.written);
}

/* The last reference to f was put: from now on only memfile_get() finds it. */
static void
retire(struct memfile *f)
{
	struct memfile_tree *t = f->tree;

	assert(TAILQ_EMPTY(&f->lock.holders) && TAILQ_EMPTY(&f->lock.waiters));
	assert(TAILQ_EMPTY(&f->lock.pollers.list) && f->lock.upgrade == NULL);
	RB_REMOVE(memfile_by_serial, &t->by_serial, f);
	t->count--;
	t->total_size -= f->size;
}

/* Frees what a retired file has. */
static void
destroy(struct memfile *f)
{
	struct memfile_tree *t = f->tree;

	log_segment(f, "ends");
	RB_REMOVE(memfile_by_name, &t->by_name, f);
	t->store->destroy(f);
	account_give(f->account, ACCOUNT_SEGMENTS, f->charged_segment);
	account_give(f->account, ACCOUNT_MEMORY, f->charged_memory);
	account_put(f->account);
	blockmap_fini(&f->blocks);
	free(f);
}

/* Destroys a file that memfile_put_later() has retired. */
static void
destroy_ended(struct memfile *f)
{
	struct account *a = f->account;

	f->tree->ending -= f->charged_segment;
	TAILQ_REMOVE(&a->ended_files, f, ended_link);
	if (TAILQ_EMPTY(&a->ended_files))
		schedule_remove(f->tree->schedule, &a->destroyer);
	destroy(f);
}

static void
destroy_some(struct task *t, const struct budget *b)
{
	struct account *a = account_ref(container_of(t, struct account, destroyer));
	struct memfile *f = TAILQ_FIRST(&a->ended_files);
	struct schedule *s = f->tree->schedule;

	do
		destroy_ended(f);
	while ((f = TAILQ_FIRST(&a->ended_files)) != NULL && !budget_is_spent(b));
	if (f != NULL)
		schedule_add(s, &a->queues[SCHEDULE_SESSIONS], t);
	account_put(a);
}

/* Creates the file of key; an earlier one of that name has ended, or is NULL. */
static int
add(struct memfile_tree *t, struct memfile *key, struct memfile *ended, struct memfile **out)
{
	struct memfile *f;
	int error;

	if (ended != NULL)
		destroy_ended(ended);
	error = create(t, key, &f);
	if (error != 0)
		return error;
	f->serial = ++t->last_serial;
	RB_INSERT(memfile_by_name, &t->by_name, f);
	RB_INSERT(memfile_by_serial, &t->by_serial, f);
	t->count++;
	*out = f;
	return 0;
}

/* Finds or creates the file of key, as flags say. */
static int
find(struct memfile_tree *t, struct memfile *key, uint32_t flags, struct memfile **out)
{
	struct memfile *f = RB_FIND(memfile_by_name, &t->by_name, key);

	if (f == NULL || f->references == 0)
		return flags & PROTOCOL_OPEN_CREATE ? add(t, key, f, out) : -ENOENT;
	if (flags & PROTOCOL_OPEN_EXCLUSIVE)
		return -EEXIST;
	if (t->store->separates_versions && f->version != key->version)
		return -EBADE;
	*out = f;
	return 0;
}

int
memfile_get(struct memfile_tree *t, const char *name, size_t size, uint32_t flags,
    enum protocol_version version, struct account *account, struct memfile **out)
{
	struct memfile *key = make_key(name, size, version, account), *f;
	int error;

	if (key == NULL)
		return -ENOMEM;
	error = find(t, key, flags, &f);
	free(key);
	if (error != 0)
		return error;
	f->references++;
	*out = f;
	return 0;
}

void
memfile_ref(struct memfile *f)
{
	f->references++;
}

void
memfile_put(struct memfile *f)
{
	assert(f->references > 0);
	if (--f->references > 0)
		return;
	retire(f);
	destroy(f);
}

void
memfile_put_later(struct memfile *f)
{
	struct account *a = f->account;

	assert(f->references > 0);
	if (--f->references > 0)
		return;
	retire(f);
	f->tree->ending += f->charged_segment;
	TAILQ_INSERT_TAIL(&a->ended_files, f, ended_link);
	a->destroyer.run = destroy_some;
	schedule_add(f->tree->schedule, &a->queues[SCHEDULE_SESSIONS], &a->destroyer);
}

/*
 * Charges size bytes of a segment to the account. Returns 0; -EINPROGRESS when memory that is being
 * wiped will make room; -ENOMEM.
 */
static int
charge_segment(const struct memfile *f, uint64_t size)
{
	const struct account *a = f->account;

	if (account_take(f->account, ACCOUNT_SEGMENTS, size) == 0)
		return 0;
	if (f->tree->ending > 0 && size <= a->accounts->limit[ACCOUNT_SEGMENTS])
		return -EINPROGRESS;
	return -ENOMEM;
}

/* The file has no segment, and its account is charged for it. */
static int
make_segment(struct memfile *f, uint32_t size)
{
	struct blockmap blocks;
	int error = blockmap_init(&blocks, size_block_count(size));

	if (error != 0)
		return error;
	error = store_error(f->tree->store->map(f, size));
	if (error != 0) {
		blockmap_fini(&blocks);
		return error;
	}
	f->blocks = blocks;
	return 0;
}

int
memfile_map(struct memfile *f, uint32_t size, uint64_t segment_limit)
{
	uint64_t pages = (uint64_t)size_block_count(size) * SIZE_BLOCK;
	int error;

	if (size == 0 || (f->size != 0 && f->size != size))
		return -EINVAL;
	if (f->size != 0)
		return 0;
	if (size > segment_limit)
		return -EMSGSIZE;
	error = charge_segment(f, pages);
	if (error != 0)
		return error;
	error = make_segment(f, size);
	if (error != 0) {
		account_give(f->account, ACCOUNT_SEGMENTS, pages);
		return error;
	}
	f->size = size;
	f->charged_segment = pages;
	f->tree->total_size += size;
	log_segment(f, "begins");
	return 0;
}

void
memfile_charge_take(struct memfile *f, struct memfile_charge *out)
{
	*out = (struct memfile_charge){ f->tree, account_ref(f->account), f->charged_memory,
		f->charged_segment };
	f->tree->ending += f->charged_segment;
	f->charged_memory = f->charged_segment = 0;
}

void
memfile_charge_give(const struct memfile_charge *c)
{
	c->tree->ending -= c->segment;
	account_give(c->account, ACCOUNT_SEGMENTS, c->segment);
	account_give(c->account, ACCOUNT_MEMORY, c->memory);
	account_put(c->account);
}

void
memfile_lock_changed(struct memfile *f, enum store_event event)
{
	const struct store_ops *store = f->tree->store;

	if (store->lock_changed != NULL)
		store->lock_changed(f, event);
}

uint8_t
memfile_type(const struct memfile *f)
{
	if (f->size == 0)
		return PROTOCOL_TYPE_PURE;
	return f->published ? PROTOCOL_TYPE_SEGMENT : PROTOCOL_TYPE_UNPUBLISHED;
}

void
memfile_stat(const struct memfile *f, struct protocol_stat *stat)
{
	struct store_usage usage;

	f->tree->store->usage(f, &usage);
	*stat = (struct protocol_stat){
		.life = f->life,
		.size = f->size,
		.committed = usage.committed,
		.type = memfile_type(f),
		.version = f->blocks.newest,
		.open_count = f->references,
		.waiters = f->lock.waiting,
		.grants = f->lock.grants,
	};
}
