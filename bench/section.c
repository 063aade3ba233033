#include "bench/section.h"

#include <assert.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/size.h"

/*
 * Runs are a whole number of blocks apart and never overlap, so that all bytes
 * of one hold the same value, and adding one to it changes all of them.
 */
static void
change(struct section *section, size_t changed)
{
	size_t step, count;
	unsigned char *run;

	if (changed == 0)
		return;
	step = (changed + SIZE_BLOCK - 1) / SIZE_BLOCK * SIZE_BLOCK;
	count = (section->size - changed) / step + 1;
	run = section->memory + section->next++ % count * step;
	memset(run, *run + 1, changed);
}

static int
pass(struct section *section, size_t changed, size_t times)
{
	int error = 0;

	for (size_t i = 0; i < times && error == 0; i++) {
		if ((error = section->ops->lock(section->place)) != 0)
			return error;
		change(section, changed);
		error = section->ops->unlock(section->place);
	}
	return error;
}

int
section_measure_means(struct section *section, size_t changed, size_t group, uint64_t *samples,
    size_t count)
{
	uint64_t last, end;
	int error;

	assert(changed <= section->size && group > 0);
	last = clock_now();
	for (size_t i = 0; i < count; i++) {
		if ((error = pass(section, changed, group)) != 0)
			return error;
		end = clock_now();
		samples[i] = (end - last + group / 2) / group;
		last = end;
	}
	return 0;
}

int
section_measure(struct section *section, size_t changed, uint64_t *samples, size_t count)
{
	return section_measure_means(section, changed, 1, samples, count);
}

void
section_close(struct section *section)
{
	if (section->ops != NULL)
		section->ops->close(section->place);
	memset(section, 0, sizeof *section);
}
