#include "common/host/slotfile.h"

#include <errno.h>

#include "common/host/hostio.h"

static uint64_t
file_size(uint32_t size, uint32_t entry_size)
{
	return slotfile_slots_size(size) +
	    SLOTFILE_SLOTS * (uint64_t)size_block_count(size) * entry_size;
}

int
slotfile_create(int directory, const char *name, uint32_t size, uint32_t entry_size)
{
	struct hostfile file;
	int error = hostfile_create(&file, directory, name, file_size(size, entry_size));

	if (error == 0)
		hostfile_close(&file);
	return error;
}

int
slotfile_open(struct slotfile *f, int directory, const char *name, uint32_t size,
    uint32_t entry_size)
{
	const uint64_t bytes = file_size(size, entry_size);
	int error = hostfile_open(&f->file, directory, name, bytes);

	if (error != 0)
		return error;
	error = hostwriter_init(&f->writer, &f->file, bytes);
	if (error != 0) {
		hostfile_close(&f->file);
		return error;
	}
	f->size = size;
	f->count = size_block_count(size);
	f->entry_size = entry_size;
	return 0;
}

void
slotfile_close(struct slotfile *f)
{
	if (f->size == 0)
		return;
	hostwriter_fini(&f->writer);
	hostfile_close(&f->file);
	*f = (struct slotfile){ 0 };
}

int
slotfile_check(const struct slotfile *f)
{
	if (!slotfile_is_intact(f))
		return -EBADF;
	return hostio_check_recent_limit(file_size(f->size, f->entry_size));
}

int
slotfile_read(struct slotfile *f, uint32_t block, unsigned slot)
{
	return hostfile_read(&f->file, slotfile_offset(block, slot), f->block,
	    size_of_block(f->size, block));
}

int
slotfile_put(struct slotfile *f, uint32_t block, unsigned slot)
{
	return hostwriter_put(&f->writer, slotfile_offset(block, slot),
	    size_of_block(f->size, block));
}

int
slotfile_read_table(const struct slotfile *f, void *table)
{
	return hostfile_read(&f->file, slotfile_slots_size(f->size), table,
	    SLOTFILE_SLOTS * (size_t)f->count * f->entry_size);
}

int
slotfile_write_table(const struct slotfile *f, const void *table, uint32_t first, uint32_t count)
{
	const uint64_t at = (uint64_t)first * f->entry_size;

	return hostfile_write(&f->file, slotfile_slots_size(f->size) + at,
	    (const uint8_t *)table + at, (size_t)count * f->entry_size);
}
