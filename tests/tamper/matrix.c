#include "tests/tamper/matrix.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/host/slotfile.h"
#include "smuf/layout.h"

enum { PARTS_MOST = 64, CASES_MOST = 4096, TICKET_SIZE = 4, MAGIC_SIZE = sizeof LAYOUT_MAGIC - 1 };

struct part {
	uint64_t from, length;
	char name[32];
};

struct plan {
	struct matrix_case *cases;
	size_t count;
	enum matrix_file file; /* that the next cases are about */
	struct part parts[PARTS_MOST];
	unsigned part_count;
	uint64_t size; /* of that file */
};

static const char *const file_names[MATRIX_FILES] = { "lock file", "segment file" };

static void __attribute__((format(printf, 3, 4)))
add(struct plan *p, struct matrix_case c, const char *format, ...)
{
	va_list args;
	int n;

	assert_true(p->count < CASES_MOST);
	c.file = p->file;
	n = snprintf(c.words, sizeof c.words, "%s: ", file_names[p->file]);
	va_start(args, format);
	vsnprintf(c.words + n, sizeof c.words - (size_t)n, format, args);
	va_end(args);
	p->cases[p->count++] = c;
}

/* Adds the next part of the file, up to end. */
static void __attribute__((format(printf, 3, 4)))
part(struct plan *p, uint64_t end, const char *format, ...)
{
	uint64_t from = p->part_count == 0 ?
	    0 :
	    p->parts[p->part_count - 1].from + p->parts[p->part_count - 1].length;
	struct part *q = &p->parts[p->part_count];
	va_list args;

	/* Parts have no gaps: bytes that are no field are tampered with as well. */
	assert_true(p->part_count < PARTS_MOST && end >= from);
	if (end == from)
		return;
	*q = (struct part){ .from = from, .length = end - from };
	va_start(args, format);
	vsnprintf(q->name, sizeof q->name, format, args);
	va_end(args);
	p->part_count++;
}

static void
cut_lock_file(struct plan *p)
{
	p->file = MATRIX_LOCK;
	p->part_count = 0;
	part(p, LAYOUT_TICKET_AT + TICKET_SIZE, "ticket");
	part(p, LAYOUT_TURN_AT + TICKET_SIZE, "turn");
	part(p, LAYOUT_MAGIC_AT, "zeros");
	part(p, LAYOUT_MAGIC_AT + MAGIC_SIZE, "magic");
	part(p, LAYOUT_LIFE_AT + sizeof(uint64_t), "life");
	part(p, LAYOUT_SEGMENT_AT + sizeof(uint64_t), "segment size");
	part(p, LAYOUT_PROBE_AT, "rest");
	part(p, LAYOUT_LOCK_SIZE, "probe area");
	p->size = LAYOUT_LOCK_SIZE;
}

static void
cut_segment_file(struct plan *p, uint32_t segment_size)
{
	uint32_t block;
	unsigned slot;
	uint64_t at;

	p->file = MATRIX_SEGMENT;
	p->part_count = 0;
	for (block = 0; block < size_block_count(segment_size); block++)
		for (slot = 0; slot < SLOTFILE_SLOTS; slot++) {
			at = slotfile_offset(block, slot);
			part(p, at + size_of_block(segment_size, block), "block %u slot %u", block,
			    slot);
			part(p, at + SIZE_BLOCK, "after block %u slot %u", block, slot);
		}
	p->size = slotfile_slots_size(segment_size);
	assert_int_equal(p->parts[p->part_count - 1].from + p->parts[p->part_count - 1].length,
	    p->size);
}

static void
add_part(struct plan *p, const struct part *q)
{
	struct matrix_case c = { .from = q->from, .length = q->length };
	const uint64_t bytes[] = { 0, q->length / 2, q->length - 1 };
	size_t i;

	for (i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
		add(p,
		    (struct matrix_case){ .op = MATRIX_FLIP,
			.from = q->from + bytes[i],
			.other = (uint64_t)i * 3 },
		    "a bit of byte %lu of %s flipped", (unsigned long)bytes[i], q->name);
	c.op = MATRIX_ZERO;
	add(p, c, "%s zeroed", q->name);
	c.op = MATRIX_NOISE;
	add(p, c, "%s overwritten", q->name);
	c.op = MATRIX_YESTERDAY;
	add(p, c, "%s as it was yesterday", q->name);
	c.op = MATRIX_SHAKE_READERS;
	add(p, c, "%s flips while it is read", q->name);
	c.op = MATRIX_SHAKE_SEALER;
	add(p, c, "%s flips while a block is sealed", q->name);
}

/* The file ends at each boundary, and a byte before and after it. */
static void
add_lengths(struct plan *p)
{
	static const uint64_t more[] = { 1, SIZE_BLOCK, 1024 * 1024 };
	uint64_t lengths[3], last = UINT64_MAX;
	unsigned i, j;

	for (i = 0; i <= p->part_count; i++) {
		lengths[1] = i == p->part_count ? p->size : p->parts[i].from;
		lengths[0] = lengths[1] - 1;
		lengths[2] = lengths[1] + 1;
		for (j = 0; j < 3; j++)
			if ((last == UINT64_MAX || lengths[j] > last) && lengths[j] < p->size) {
				last = lengths[j];
				add(p, (struct matrix_case){ .op = MATRIX_TRUNCATE, .from = last },
				    "cut to %lu bytes", (unsigned long)last);
			}
	}
	for (i = 0; i < sizeof more / sizeof more[0]; i++)
		add(p, (struct matrix_case){ .op = MATRIX_EXTEND, .length = more[i] },
		    "longer by %lu bytes", (unsigned long)more[i]);
}

static void
add_swaps(struct plan *p, uint32_t segment_size)
{
	uint32_t slots = SLOTFILE_SLOTS * size_block_count(segment_size), a, b;

	for (a = 0; a < slots; a++)
		for (b = a + 1; b < slots; b++)
			add(p,
			    (struct matrix_case){ .op = MATRIX_SWAP,
				.from = slotfile_offset(a / SLOTFILE_SLOTS, a % SLOTFILE_SLOTS),
				.other = slotfile_offset(b / SLOTFILE_SLOTS, b % SLOTFILE_SLOTS),
				.length = SIZE_BLOCK },
			    "block %u slot %u and block %u slot %u change places",
			    a / SLOTFILE_SLOTS, a % SLOTFILE_SLOTS, b / SLOTFILE_SLOTS,
			    b % SLOTFILE_SLOTS);
}

static void
add_whole(struct plan *p)
{
	static const struct {
		enum matrix_op op;
		const char *words;
	} instead[] = {
		{ MATRIX_NOTHING, "left alone" },
		{ MATRIX_UNLINK, "unlinked" },
		{ MATRIX_LINK_ANOTHER, "a link to another memory file's" },
		{ MATRIX_LINK_NOWHERE, "a link to nowhere" },
		{ MATRIX_DIRECTORY, "a directory" },
		{ MATRIX_FIFO, "a fifo" },
		{ MATRIX_FORBID, "mode 000" },
		{ MATRIX_CUT_READERS, "cut and made long again while it is read" },
		{ MATRIX_CUT_SEALER, "cut and made long again while a block is sealed" },
	};
	struct matrix_case c = { .length = p->size };
	const char *how;
	unsigned i;

	for (i = 0; i < sizeof instead / sizeof instead[0]; i++) {
		c.op = instead[i].op;
		add(p, c, "%s", instead[i].words);
	}
	for (i = 0; i < 2; i++) {
		c.is_renamed = i != 0;
		how = c.is_renamed ? "another file" : "overwritten";
		c.op = MATRIX_ANOTHERS;
		add(p, c, "another memory file's, %s", how);
		c.op = MATRIX_ROLLBACK;
		for (c.other = 0; c.other < MATRIX_NOW; c.other++)
			add(p, c, "all of it as of moment %lu, %s", (unsigned long)c.other, how);
	}
}

static void
add_file(struct plan *p)
{
	unsigned i;

	add_whole(p);
	for (i = 0; i < p->part_count; i++)
		add_part(p, &p->parts[i]);
	add_lengths(p);
}

struct matrix_case *
matrix_generate(uint32_t segment_size, size_t *count)
{
	struct plan p = { .cases = calloc(CASES_MOST, sizeof *p.cases) };

	assert_non_null(p.cases);
	cut_lock_file(&p);
	add_file(&p);
	cut_segment_file(&p, segment_size);
	add_file(&p);
	add_swaps(&p, segment_size);
	*count = p.count;
	return p.cases;
}
