#include "common/wire/protocol.h"

#include "common/wire/delta.h"
#include "common/wire/wire.h"

enum versions { V1 = 1, V2 = 2, BOTH = V1 | V2 };

static const struct {
	const char *name;
	enum versions versions;
} table[OP_COUNT] = {
	[OP_NEW_FDTABLE] = { "NEW_FDTABLE", BOTH },
	[OP_FORK] = { "FORK", BOTH },
	[OP_CHILD_ATTACH] = { "CHILD_ATTACH", BOTH },
	[OP_OPEN] = { "OPEN", BOTH },
	[OP_CLOSE] = { "CLOSE", BOTH },
	[OP_LOCK] = { "LOCK", V1 },
	[OP_UNLOCK] = { "UNLOCK", V1 },
	[OP_MMAP] = { "MMAP", BOTH },
	[OP_HELLO] = { "HELLO", BOTH },
	[OP_ACQUIRE] = { "ACQUIRE", V2 },
	[OP_RELEASE] = { "RELEASE", V2 },
	[OP_CANCEL] = { "CANCEL", V2 },
	[OP_STAT] = { "STAT", V2 },
	[OP_INSPECT] = { "INSPECT", V2 },
	[OP_OPEN2] = { "OPEN2", V2 },
	[OP_PROCESS] = { "PROCESS", V2 },
};

const char *
protocol_op_name(uint32_t op)
{
	return op < OP_COUNT && table[op].name != NULL ? table[op].name : "?";
}

bool
protocol_has_op(uint32_t op, enum protocol_version version)
{
	return op < OP_COUNT &&
	    (table[op].versions & (version == PROTOCOL_VERSION_1 ? V1 : V2)) != 0;
}

void
protocol_put_stat(struct wire_writer *w, const struct protocol_stat *stat)
{
	wire_put_u64(w, stat->life);
	wire_put_u64(w, stat->size);
	wire_put_u64(w, stat->committed);
	wire_put_u8(w, stat->type);
	wire_put_u64(w, stat->version);
	wire_put_u32(w, stat->open_count);
	wire_put_u32(w, stat->waiters);
	wire_put_u64(w, stat->grants);
}

void
protocol_get_stat(struct wire_reader *r, struct protocol_stat *stat)
{
	stat->life = wire_get_u64(r);
	stat->size = wire_get_u64(r);
	stat->committed = wire_get_u64(r);
	stat->type = wire_get_u8(r);
	stat->version = wire_get_u64(r);
	stat->open_count = wire_get_u32(r);
	stat->waiters = wire_get_u32(r);
	stat->grants = wire_get_u64(r);
}

void
protocol_put_holder(struct wire_writer *w, const struct protocol_holder *holder)
{
	wire_put_u8(w, holder->mode);
	wire_put_u32(w, holder->pid);
}

void
protocol_get_holder(struct wire_reader *r, struct protocol_holder *holder)
{
	holder->mode = wire_get_u8(r);
	holder->pid = wire_get_u32(r);
	if (holder->mode > PROTOCOL_SHARED)
		r->failed = true;
}

uint32_t
protocol_largest_body(uint32_t segment_limit)
{
	uint32_t size = 64 + (uint32_t)DELTA_COUNT_SIZE + segment_limit +
	    DELTA_PIECE_HEADER_SIZE * size_block_count(segment_limit);

	return size > PROTOCOL_SMALL_BODY_MOST ? size : PROTOCOL_SMALL_BODY_MOST;
}
