#include "smdish/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/base/size.h"

enum {
	SLAB_LEAST = 4 * SIZE_MIB,
	SLAB_DOUBLED_MOST = 14, /* times: 64 GiB of addresses, for -m of 16 TiB and more */
	SLABS_A_LIMIT = 256,    /* slabs of one size of slots that make up all of -m */
	SLOTS_LEAST = 64,       /* in a slab */
	WORD = 64               /* bits */
};

struct pool_slab {
	LIST_ENTRY(pool_slab) link; /* while it has a free slot */
	uint8_t *base;
	size_t slot_size;
	uint32_t count;   /* of slots */
	uint32_t used;    /* of these */
	uint32_t lowest;  /* no word below has a free slot */
	uint64_t taken[]; /* a bit a slot */
};

void
pool_init(struct pool *p)
{
	*p = (struct pool){ 0 };
}

void
pool_set_limit(struct pool *p, uint64_t limit)
{
	unsigned doubled;

	if (p->slab_size != 0)
		return;
	p->slab_size = SLAB_LEAST;
	for (doubled = 0; doubled < SLAB_DOUBLED_MOST; doubled++)
		if (p->slab_size < limit / SLABS_A_LIMIT)
			p->slab_size *= 2;
	p->largest = p->slab_size / SLOTS_LEAST;
}

bool
pool_has_slot_for(const struct pool *p, size_t size)
{
	return size <= p->largest;
}

static unsigned
class_of(size_t size, size_t *slot_size)
{
	unsigned class = 0;

	for (*slot_size = SIZE_BLOCK; *slot_size < size; *slot_size *= 2)
		class ++;
	assert(class < POOL_CLASSES);
	return class;
}

/* Huge pages would put memory behind slots that nobody has written. */
static uint8_t *
map_slab(size_t size)
{
	uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	madvise(base, size, MADV_NOHUGEPAGE);
	madvise(base, size, MADV_DONTDUMP);
	return base;
}

static struct pool_slab *
create_slab(struct pool *p, size_t slot_size)
{
	uint32_t count = (uint32_t)(p->slab_size / slot_size);
	struct pool_slab *s = calloc(1, sizeof *s + (count / WORD + 1) * sizeof s->taken[0]);

	if (s == NULL)
		return NULL;
	s->base = map_slab(p->slab_size);
	if (s->base == NULL) {
		free(s);
		return NULL;
	}
	s->slot_size = slot_size;
	s->count = count;
	p->slabs++;
	return s;
}

static void
destroy_slab(struct pool *p, struct pool_slab *s)
{
	LIST_REMOVE(s, link);
	munmap(s->base, p->slab_size);
	free(s);
	p->slabs--;
}

void
pool_fini(struct pool *p)
{
	struct pool_slab *s;
	unsigned class;

	for (class = 0; class < POOL_CLASSES; class ++)
		while ((s = LIST_FIRST(&p->with_room[class])) != NULL) {
			assert(s->used == 0);
			destroy_slab(p, s);
		}
	assert(p->slabs == 0 && p->splits == 0);
}

/* Takes the first free slot; there is one. Slots are a multiple of 64, so no bit is beyond them. */
static uint32_t
take_slot(struct pool_slab *s)
{
	uint32_t bit;

	while (s->taken[s->lowest] == UINT64_MAX)
		s->lowest++;
	bit = (uint32_t)__builtin_ctzll(~s->taken[s->lowest]);
	s->taken[s->lowest] |= UINT64_C(1) << bit;
	s->used++;
	return s->lowest * WORD + bit;
}

int
pool_get(struct pool *p, size_t size, struct pool_slab **slab, uint8_t **base)
{
	size_t slot_size;
	struct pool_slabs *list = &p->with_room[class_of(size, &slot_size)];
	struct pool_slab *s = LIST_FIRST(list);

	if (s == NULL) {
		s = create_slab(p, slot_size);
		if (s == NULL)
			return -ENOMEM;
		LIST_INSERT_HEAD(list, s, link);
	}
	*base = s->base + take_slot(s) * slot_size;
	*slab = s;
	if (s->used == s->count)
		LIST_REMOVE(s, link);
	return 0;
}

/* The last slab of its kind stays: a file that comes and goes needs no mapping of its own. */
void
pool_put(struct pool *p, struct pool_slab *s, uint8_t *base)
{
	uint32_t slot = (uint32_t)((size_t)(base - s->base) / s->slot_size);
	size_t slot_size;
	struct pool_slabs *list = &p->with_room[class_of(s->slot_size, &slot_size)];

	s->taken[slot / WORD] &= ~(UINT64_C(1) << slot % WORD);
	if (slot / WORD < s->lowest)
		s->lowest = slot / WORD;
	if (s->used-- == s->count)
		LIST_INSERT_HEAD(list, s, link);
	if (s->used == 0 && (LIST_FIRST(list) != s || LIST_NEXT(s, link) != NULL))
		destroy_slab(p, s);
}
