#include "tests/torture/round.h"

#include <stdio.h>

#include "common/base/size.h"
#include "tests/torture/choice.h"

enum {
	DEEDS_LEAST = 12,
	DEEDS_SPREAD = 16,
	LEASE_LEAST_MS = 5,
	LEASE_SPREAD_MS = 60,
	GAP_REMOTE = 1500, /* what the threads do in about a tenth of a second */
	GAP_LOCAL = 10 * 1000,
	LIFE_REMOTE = 1200,
	LIFE_LOCAL = 8 * 1000
};

static const enum round_trouble smdish_troubles[] = { ROUND_CALM, ROUND_RESTARTS, ROUND_LEASES,
	ROUND_LIMITS };
static const enum round_trouble smuf_troubles[] = { ROUND_CALM, ROUND_LIES, ROUND_FULL_DISK,
	ROUND_RESTARTS, ROUND_LIMITS };
static const enum round_trouble smc_troubles[] = { ROUND_CALM, ROUND_FULL_DISK, ROUND_BARE,
	ROUND_LIES, ROUND_LIMITS };

static const struct {
	const char *name;
	const enum round_trouble *troubles;
	unsigned count;
} kinds[ROUND_KINDS] = {
	[ROUND_SMDISH] = { "smdish", smdish_troubles, 4 },
	[ROUND_SMUF] = { "smuf", smuf_troubles, 5 },
	[ROUND_SMC] = { "smc", smc_troubles, 5 },
};

static const char *const trouble_names[] = {
	[ROUND_CALM] = "nothing else",
	[ROUND_RESTARTS] = "restarts of the server",
	[ROUND_LIES] = "a host that changes files",
	[ROUND_FULL_DISK] = "a full disk",
	[ROUND_BARE] = "no kernel locks, no kills",
	[ROUND_LEASES] = "leases",
	[ROUND_LIMITS] = "limits of processes",
};

/* From one word to many blocks, with a short last block and without. */
static const uint32_t sizes[] = { 24, 1000, SIZE_BLOCK, SIZE_BLOCK + 24, 5 * SIZE_BLOCK + 1004,
	64 * SIZE_KIB, 300 * 1000 };

static const char *const tracks[] = { "auto", "auto", "diff", "hint" };

static void
draw_files(struct round *r, struct choice *c)
{
	uint32_t largest = 0;
	unsigned i;

	r->files = 1 + (unsigned)choice_draw(c, ROUND_FILES_MOST);
	for (i = 0; i < ROUND_FILES_MOST; i++) {
		r->sizes[i] = sizes[choice_draw(c, sizeof sizes / sizeof sizes[0])];
		largest = r->sizes[i] > largest ? r->sizes[i] : largest;
	}
	/* Larger sections take longer. */
	r->gap = (r->kind == ROUND_SMC ? GAP_LOCAL : GAP_REMOTE) / (1 + largest / (64 * SIZE_KIB));
	r->life = r->kind == ROUND_SMC ? LIFE_LOCAL : LIFE_REMOTE;
}

void
round_draw(struct round *r, uint64_t seed)
{
	struct choice c = choice_begin(choice_branch(seed, 0));

	*r = (struct round){ .seed = seed, .kind = (enum round_kind)(seed % ROUND_KINDS) };
	/* Neighbouring rounds have all kinds, and then all troubles, in turn. */
	r->trouble = kinds[r->kind].troubles[seed / ROUND_KINDS % kinds[r->kind].count];
	r->players = 2 + (unsigned)choice_draw(&c, ROUND_PLAYERS_MOST - 1);
	r->threads = 1 + (unsigned)choice_draw(&c, ROUND_THREADS_MOST);
	r->has_tls = choice_happens(&c, 75);
	r->has_tcp = r->has_tls && choice_happens(&c, 40);
	r->track = tracks[choice_draw(&c, sizeof tracks / sizeof tracks[0])];
	r->sync = choice_happens(&c, 15) ? "full" : "delta";
	if (r->trouble == ROUND_LEASES)
		r->lease_ms = LEASE_LEAST_MS + (unsigned)choice_draw(&c, LEASE_SPREAD_MS);
	r->deeds = DEEDS_LEAST + (unsigned)choice_draw(&c, DEEDS_SPREAD);
	draw_files(r, &c);
}

const char *
round_kind_name(enum round_kind kind)
{
	return kinds[kind].name;
}

const char *
round_describe(const struct round *r, char text[ROUND_TEXT_SIZE])
{
	const char *way = r->has_tcp ? ", TLS over TCP" : r->has_tls ? ", TLS" : ", plaintext";
	unsigned i;
	int n;

	n = snprintf(text, ROUND_TEXT_SIZE,
	    "%s%s, %s; %u processes of %u threads; track=%s,sync=%s;", round_kind_name(r->kind),
	    r->kind == ROUND_SMC ? "" : way, trouble_names[r->trouble], r->players, r->threads,
	    r->track, r->sync);
	for (i = 0; i < r->files; i++)
		n += snprintf(text + n, ROUND_TEXT_SIZE - (size_t)n, " %u", r->sizes[i]);
	snprintf(text + n, ROUND_TEXT_SIZE - (size_t)n, " bytes");
	return text;
}

bool
round_is_blind(const struct round *r)
{
	return r->kind == ROUND_SMC && r->trouble == ROUND_LIES;
}

bool
round_has_kills(const struct round *r)
{
	return r->trouble != ROUND_BARE;
}
