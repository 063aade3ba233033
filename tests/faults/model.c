#include "tests/faults/model.h"

#include <stddef.h>
#include <string.h>

#include "common/wire/protocol.h"

void
model_init(struct model *m)
{
	memset(m, 0, sizeof *m);
	model_drop_all(m, -1);
}

const char *
model_name(int file)
{
	static const char *const names[MODEL_FILES] = { "/a", "/b", "/c", "/x", "/y", "/n", "/m" };

	return names[file];
}

void
model_apply(uint8_t *content, const struct model_piece *piece)
{
	uint32_t i;

	for (i = 0; i < piece->length; i++)
		content[piece->offset + i] = piece->bytes[i % MODEL_PIECE_BYTES];
}

struct model_patch *
model_add_patch(struct model *m, int file)
{
	struct model_file *f;
	struct model_patch *p;

	if (file < 0 || file >= MODEL_ANCHORED || m->files[file].patch_count == MODEL_PATCHES)
		return NULL;
	f = &m->files[file];
	p = &f->patches[f->patch_count++];
	*p = (struct model_patch){ .serial = ++m->last_serial };
	return p;
}

bool
model_settle(struct model *m, int file, unsigned serial, bool is_accepted)
{
	struct model_file *f = &m->files[file];
	unsigned i;

	for (i = 0; serial != 0 && i < f->patch_count; i++)
		if (f->patches[i].serial == serial) {
			if (is_accepted && f->patches[i].outcome == MODEL_REFUSED)
				return false;
			f->patches[i].outcome = is_accepted ? MODEL_ACCEPTED : MODEL_REFUSED;
		}
	return true;
}

/* True when patch i is applied in a choice, which has a bit for each patch. */
static bool
is_applied(const struct model_patch *p, unsigned choice, unsigned i)
{
	return p->outcome == MODEL_ACCEPTED || (choice >> i & 1) != 0;
}

/* True when the choice has bits of patches with an unknown outcome only. */
static bool
is_possible(const struct model_file *f, unsigned choice)
{
	unsigned i;

	for (i = 0; i < f->patch_count; i++)
		if (f->patches[i].outcome != MODEL_UNKNOWN && (choice >> i & 1) != 0)
			return false;
	return true;
}

static bool
makes(const struct model_file *f, unsigned choice, const uint8_t *content)
{
	static uint8_t made[MODEL_BYTES];
	unsigned i, j;

	memcpy(made, f->base, sizeof made);
	for (i = 0; i < f->patch_count; i++)
		if (is_applied(&f->patches[i], choice, i))
			for (j = 0; j < f->patches[i].count; j++)
				model_apply(made, &f->patches[i].pieces[j]);
	return memcmp(made, content, sizeof made) == 0;
}

bool
model_check(struct model *m, int file, const uint8_t *content)
{
	struct model_file *f = &m->files[file];
	unsigned choice;

	if (file >= MODEL_ANCHORED)
		return true;
	for (choice = 0; choice < 1u << f->patch_count; choice++)
		if (is_possible(f, choice) && makes(f, choice, content)) {
			memcpy(f->base, content, sizeof f->base);
			f->patch_count = 0;
			return true;
		}
	return false;
}

static bool
conflicts(const struct model_holding *a, const struct model_holding *b)
{
	bool is_same = a->peer == b->peer && a->fd == b->fd;

	return a->peer >= 0 && b->peer >= 0 && a->file == b->file && !is_same &&
	    (a->mode == PROTOCOL_EXCLUSIVE || b->mode == PROTOCOL_EXCLUSIVE);
}

/* Finds out which holdings are disputed now. */
static void
find_disputes(struct model *m)
{
	struct model_holding *a, *b, *end = m->holdings + MODEL_HOLDINGS;

	for (a = m->holdings; a < end; a++) {
		a->is_disputed = false;
		for (b = m->holdings; b < end; b++)
			a->is_disputed |= conflicts(a, b);
	}
}

void
model_hold(struct model *m, const struct model_holding *h)
{
	unsigned i;

	for (i = 0; i < MODEL_HOLDINGS && m->holdings[i].peer >= 0; i++)
		;
	if (i == MODEL_HOLDINGS)
		return;
	m->holdings[i] = *h;
	find_disputes(m);
}

struct model_holding *
model_find_fd(struct model *m, int peer, uint32_t fd)
{
	unsigned i;

	for (i = 0; i < MODEL_HOLDINGS; i++)
		if (m->holdings[i].peer == peer && m->holdings[i].fd == fd)
			return &m->holdings[i];
	return NULL;
}

struct model_holding *
model_find_file(struct model *m, int peer, int file)
{
	unsigned i;

	for (i = 0; i < MODEL_HOLDINGS; i++)
		if (m->holdings[i].peer == peer && m->holdings[i].file == file)
			return &m->holdings[i];
	return NULL;
}

struct model_holding *
model_find_any(struct model *m, int peer)
{
	unsigned i;

	for (i = 0; i < MODEL_HOLDINGS; i++)
		if (m->holdings[i].peer == peer)
			return &m->holdings[i];
	return NULL;
}

struct model_holding *
model_find_disputed(struct model *m)
{
	unsigned i;

	for (i = 0; i < MODEL_HOLDINGS; i++)
		if (m->holdings[i].is_disputed)
			return &m->holdings[i];
	return NULL;
}

void
model_drop(struct model *m, struct model_holding *h)
{
	*h = (struct model_holding){ .peer = -1 };
	find_disputes(m);
}

void
model_drop_all(struct model *m, int peer)
{
	unsigned i;

	for (i = 0; i < MODEL_HOLDINGS; i++)
		if (peer == -1 || m->holdings[i].peer == peer)
			m->holdings[i] = (struct model_holding){ .peer = -1 };
	find_disputes(m);
}
