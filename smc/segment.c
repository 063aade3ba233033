#include "smc/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/testpoint.h"
#include "common/client/replica.h"
#include "common/host/slotfile.h"

_Static_assert(sizeof(struct segment_entry) == 32, "DESIGN 7");

static uint64_t
entry_at(const struct segment *s, uint32_t block, unsigned slot)
{
	return slotfile_slots_size(s->size) +
	    (SLOTFILE_SLOTS * (uint64_t)block + slot) * sizeof(struct segment_entry);
}

static size_t
table_size(uint32_t count)
{
	return SLOTFILE_SLOTS * (size_t)count * sizeof(struct segment_entry);
}

static uint64_t
file_size(uint32_t size)
{
	uint32_t count = size_block_count(size);

	return slotfile_slots_size(size) + table_size(count);
}

static struct segment_entry *
entry(const struct segment *s, uint32_t block, unsigned slot)
{
	return &s->entries[SLOTFILE_SLOTS * (size_t)block + slot];
}

/* The slot that counts at that committed version. */
static unsigned
current(const struct segment *s, uint32_t block, uint64_t committed)
{
	uint64_t v0 = entry(s, block, 0)->version, v1 = entry(s, block, 1)->version;

	if (v0 == 0 || v0 > committed)
		return 1;
	return v1 > v0 && v1 <= committed;
}

int
segment_create(int directory, const char *name, uint32_t size)
{
	struct hostfile file;
	int error = hostfile_create(&file, directory, name, file_size(size));

	if (error == 0)
		hostfile_close(&file);
	return error;
}

int
segment_open(struct segment *s, int directory, const char *name, uint32_t size,
    const uint8_t key[CTRBOX_KEY_SIZE])
{
	int error;

	*s = (struct segment){ .file = HOSTFILE_CLOSED,
		.size = size,
		.count = size_block_count(size) };
	s->entries = calloc(1, table_size(s->count));
	error = s->entries == NULL ? -ENOMEM : ctrbox_create(&s->box);
	if (error == 0)
		error = ctrbox_set_key(s->box, key);
	if (error == 0)
		error = hostfile_open(&s->file, directory, name, file_size(size));
	if (error == 0)
		error = hostwriter_init(&s->writer, &s->file, file_size(size));
	if (error != 0)
		segment_close(s);
	return error;
}

void
segment_close(struct segment *s)
{
	/* All zeros: was never opened, and descriptor 0 is somebody else's. */
	if (s->size == 0)
		return;
	hostwriter_fini(&s->writer);
	hostfile_close(&s->file);
	ctrbox_destroy(s->box);
	free(s->entries);
	*s = (struct segment){ .file = HOSTFILE_CLOSED };
}

static int
read_table(struct segment *s)
{
	return hostfile_read(&s->file, entry_at(s, 0, 0), s->entries, table_size(s->count));
}

/* The version of a block at that committed version; 0: never published. */
static uint64_t
version_of(const struct segment *s, uint32_t block, uint64_t committed)
{
	uint64_t version = entry(s, block, current(s, block, committed))->version;

	return version <= committed ? version : 0;
}

/* Copies a block in and decrypts it into the shadow. */
static int
read_block(struct segment *s, struct replica *replica, uint32_t block, uint64_t committed)
{
	unsigned slot = current(s, block, committed);
	uint32_t size = size_of_block(s->size, block);
	int error;

	error = hostfile_read(&s->file, slotfile_offset(block, slot), s->encrypted, size);
	if (error != 0)
		return error;
	return ctrbox_decrypt(s->box, entry(s, block, slot)->iv, block, s->encrypted, size,
	    replica_stage(replica, block * SIZE_BLOCK));
}

int
segment_read(struct segment *s, struct replica *replica, uint64_t committed)
{
	uint64_t since = replica_since(replica);
	uint32_t block, offset;
	int error = read_table(s);

	for (block = 0; block < s->count && error == 0; block++)
		if (version_of(s, block, committed) > since)
			error = read_block(s, replica, block, committed);
	if (error != 0)
		return error;
	replica_grant_begin(replica, committed);
	for (block = 0; block < s->count; block++) {
		if (version_of(s, block, committed) <= since)
			continue;
		offset = block * SIZE_BLOCK;
		replica_grant_write(replica, offset, replica_stage(replica, offset),
		    size_of_block(s->size, block));
	}
	replica_grant_end(replica, committed);
	return 0;
}

int
segment_clear(struct segment *s, uint64_t committed)
{
	static const struct segment_entry none;
	uint32_t block;
	unsigned slot;
	int error = read_table(s);

	for (block = 0; block < s->count; block++)
		for (slot = 0; slot < SLOTFILE_SLOTS && error == 0; slot++) {
			if (entry(s, block, slot)->version <= committed)
				continue;
			*entry(s, block, slot) = none;
			error = hostfile_write(&s->file, entry_at(s, block, slot), &none,
			    sizeof none);
			testpoint_reach("commit: leftover cleared");
		}
	return error;
}

/* Encrypts a block from the shadow into the slot that does not count. */
static int
write_block(struct segment *s, const uint8_t *shadow, uint32_t block, uint64_t committed,
    const struct segment_entry *e)
{
	unsigned slot = !current(s, block, committed);
	uint32_t size = size_of_block(s->size, block);
	int error;

	error = ctrbox_encrypt(s->box, e->iv, block, shadow + (size_t)block * SIZE_BLOCK, size,
	    hostwriter_room(&s->writer));
	if (error == 0)
		error = hostwriter_put(&s->writer, slotfile_offset(block, slot), size);
	testpoint_reach("commit: block put");
	return error;
}

/*
 * The entries of blocks that follow each other, with one write: those of the slots that count are
 * what they were.
 */
static int
write_entries(struct segment *s, uint32_t first, uint32_t last, uint64_t committed,
    const struct segment_entry *e)
{
	uint32_t block;
	int error;

	for (block = first; block <= last; block++)
		*entry(s, block, !current(s, block, committed)) = *e;
	error = hostfile_write(&s->file, entry_at(s, first, 0), entry(s, first, 0),
	    table_size(last - first + 1));
	testpoint_reach("commit: entries written");
	return error;
}

static uint32_t
first_block(const struct dirty_piece *p)
{
	return p->offset / SIZE_BLOCK;
}

static uint32_t
last_block(const struct dirty_piece *p)
{
	return (p->offset + p->length - 1) / SIZE_BLOCK;
}

int
segment_write(struct segment *s, const struct replica *replica, uint64_t committed,
    uint64_t version, const uint8_t iv[CTRBOX_IV_SIZE])
{
	const struct dirty *d = &replica->dirty;
	struct segment_entry e = { .version = version };
	uint32_t i, block;
	int error = 0;

	memcpy(e.iv, iv, sizeof e.iv);
	hostwriter_begin(&s->writer);
	for (i = 0; i < d->count; i++)
		for (block = first_block(&d->pieces[i]);
		     block <= last_block(&d->pieces[i]) && error == 0; block++)
			error = write_block(s, d->shadow, block, committed, &e);
	if (error == 0)
		error = hostwriter_flush(&s->writer);
	testpoint_reach("commit: blocks written");
	for (i = 0; i < d->count && error == 0; i++)
		error = write_entries(s, first_block(&d->pieces[i]), last_block(&d->pieces[i]),
		    committed, &e);
	return error;
}

uint64_t
segment_committed_bytes(const struct segment *s)
{
	uint64_t sum = 0;
	uint32_t block;

	for (block = 0; block < s->count; block++)
		if (entry(s, block, 0)->version != 0)
			sum += size_of_block(s->size, block);
	return sum;
}
