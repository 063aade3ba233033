#include "smc/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/testpoint.h"
#include "common/client/replica.h"

_Static_assert(sizeof(struct segment_entry) == 32, "smc/FORMAT 4");

static uint32_t
entry_index(uint32_t block, unsigned slot)
{
	return SLOTFILE_SLOTS * block + slot;
}

static struct segment_entry *
entry(const struct segment *s, uint32_t block, unsigned slot)
{
	return &s->entries[entry_index(block, slot)];
}

/* The slot of a block that is current at that committed version. */
static unsigned
current_slot(const struct segment *s, uint32_t block, uint64_t committed)
{
	uint64_t v0 = entry(s, block, 0)->version, v1 = entry(s, block, 1)->version;

	if (v0 == 0 || v0 > committed)
		return 1;
	return v1 > v0 && v1 <= committed;
}

/* The version of a block at that committed version; 0: never published. */
static uint64_t
version_of(const struct segment *s, uint32_t block, uint64_t committed)
{
	uint64_t version = entry(s, block, current_slot(s, block, committed))->version;

	return version <= committed ? version : 0;
}

/* The table was read. */
static void
count_published(struct segment *s, uint64_t committed)
{
	uint64_t sum = 0;
	uint32_t block;

	for (block = 0; block < s->file.count; block++)
		if (version_of(s, block, committed) != 0)
			sum += size_of_block(s->file.size, block);
	atomic_store_explicit(&s->published_bytes, sum, memory_order_relaxed);
}

int
segment_create(int directory, const char *name, uint32_t size)
{
	return slotfile_create(directory, name, size, sizeof(struct segment_entry));
}

int
segment_open(struct segment **out, int directory, const char *name, uint32_t size,
    const uint8_t key[CTRBOX_KEY_SIZE])
{
	struct segment *s = calloc(1, sizeof *s);
	int error;

	if (s == NULL)
		return -ENOMEM;
	s->entries = calloc(size_block_count(size), SLOTFILE_SLOTS * sizeof *s->entries);
	error = s->entries == NULL ? -ENOMEM : ctrbox_create(&s->box);
	if (error == 0)
		error = ctrbox_set_key(s->box, key);
	if (error == 0)
		error = slotfile_open(&s->file, directory, name, size, sizeof *s->entries);
	testpoint_reach("segment: opened");
	if (error == 0)
		*out = s;
	else
		segment_close(s);
	return error;
}

void
segment_close(struct segment *s)
{
	if (s == NULL)
		return;
	slotfile_close(&s->file);
	ctrbox_destroy(s->box);
	free(s->entries);
	free(s);
}

/* Copies a block in and decrypts it into the shadow. */
static int
read_block(struct segment *s, struct replica *replica, uint32_t block, uint64_t committed)
{
	unsigned slot = current_slot(s, block, committed);
	int error = slotfile_read(&s->file, block, slot);

	if (error != 0)
		return error;
	return ctrbox_decrypt(s->box, entry(s, block, slot)->iv, block, s->file.block,
	    size_of_block(s->file.size, block), replica_stage(replica, block));
}

int
segment_read(struct segment *s, struct replica *replica, uint64_t committed)
{
	uint64_t since = replica_since(replica);
	int error = slotfile_read_table(&s->file, s->entries);
	uint32_t block;

	if (error == 0)
		count_published(s, committed);
	replica_stage_begin(replica);
	for (block = 0; block < s->file.count && error == 0; block++)
		if (version_of(s, block, committed) > since)
			error = read_block(s, replica, block, committed);
	if (error == 0)
		replica_apply_staged(replica, committed);
	return error;
}

int
segment_clear(struct segment *s, uint64_t committed)
{
	int error = slotfile_read_table(&s->file, s->entries);
	uint32_t i;

	for (i = 0; i < entry_index(s->file.count, 0) && error == 0; i++) {
		if (s->entries[i].version <= committed)
			continue;
		s->entries[i] = (struct segment_entry){ 0 };
		error = slotfile_write_table(&s->file, s->entries, i, 1);
		testpoint_reach("commit: leftover cleared");
	}
	count_published(s, committed);
	return error;
}

/* Encrypts a block from the shadow into the slot that is not current. */
static int
write_block(struct segment *s, const uint8_t *shadow, uint32_t block, uint64_t committed,
    const struct segment_entry *e)
{
	int error = ctrbox_encrypt(s->box, e->iv, block, shadow + (size_t)block * SIZE_BLOCK,
	    size_of_block(s->file.size, block), slotfile_room(&s->file));

	if (error == 0)
		error = slotfile_put(&s->file, block, !current_slot(s, block, committed));
	testpoint_reach("commit: block put");
	return error;
}

/*
 * Writes the entries of the blocks of a piece with one write: those of current slots as they are.
 */
static int
write_entries(struct segment *s, const struct dirty_piece *p, uint64_t committed,
    const struct segment_entry *e)
{
	uint32_t first = dirty_first_block(p), end = dirty_last_block(p) + 1, block;
	uint64_t added = 0;
	unsigned slot;
	int error;

	for (block = first; block < end; block++) {
		slot = !current_slot(s, block, committed);
		if (version_of(s, block, committed) == 0)
			added += size_of_block(s->file.size, block);
		*entry(s, block, slot) = *e;
	}
	atomic_fetch_add_explicit(&s->published_bytes, added, memory_order_relaxed);
	error = slotfile_write_table(&s->file, s->entries, entry_index(first, 0),
	    entry_index(end - first, 0));
	testpoint_reach("commit: entries written");
	return error;
}

int
segment_write(struct segment *s, const struct replica *replica, uint64_t committed,
    uint64_t version, const uint8_t iv[CTRBOX_IV_SIZE])
{
	const struct dirty *d = &replica->dirty;
	struct segment_entry e = { .version = version };
	struct dirty_cursor c = { 0 };
	uint32_t block, i;
	int error = 0;

	memcpy(e.iv, iv, sizeof e.iv);
	slotfile_begin(&s->file);
	while (error == 0 && dirty_next_block(d, &c, &block))
		error = write_block(s, d->shadow, block, committed, &e);
	if (error == 0)
		error = slotfile_flush(&s->file);
	testpoint_reach("commit: blocks written");
	for (i = 0; i < d->count && error == 0; i++)
		error = write_entries(s, &d->pieces[i], committed, &e);
	return error;
}

uint64_t
segment_published_bytes(const struct segment *s)
{
	return atomic_load_explicit(&s->published_bytes, memory_order_relaxed);
}
