#include "tests/hostile/parts.h"

#include <assert.h>
#include <string.h>

#include "common/base/clock.h"

enum { PARTS_MOST = 32 };

/* Of this program. */
static const struct parts_part *parts;
static size_t part_count;

/* Runs the part that is the attack, for as long as the rig says. */
static void
run_one(struct rig *r)
{
	size_t i;

	for (i = 0; i < part_count; i++)
		if (strcmp(parts[i].name, r->attack->name) == 0)
			parts[i].run(r, r->until);
}

/* Runs all parts that are for the daemon. */
static void
run_all(struct rig *r)
{
	unsigned daemon = r->daemon.config.is_smuf ? RIG_SMUF : RIG_SMDISH;
	size_t i;

	for (i = 0; i < part_count; i++)
		if ((parts[i].daemons & daemon) != 0)
			parts[i].run(r, clock_after_ms(clock_now(), PARTS_MS));
}

static int
run_separately(const struct rig_attack *all)
{
	static struct rig_attack attacks[PARTS_MOST];
	size_t i;

	for (i = 0; i < part_count; i++) {
		attacks[i] = *all;
		attacks[i].name = parts[i].name;
		attacks[i].daemons = parts[i].daemons;
		attacks[i].run = run_one;
	}
	return rig_main(all->name, attacks, part_count);
}

static int
run_together(const struct rig_attack *all)
{
	struct rig_attack attack = *all;

	attack.daemons = RIG_BOTH;
	attack.run = run_all;
	return rig_main(all->name, &attack, 1);
}

int
parts_main(const struct rig_attack *all, const struct parts_part *these, size_t count)
{
	assert(count <= PARTS_MOST);
	parts = these;
	part_count = count;
	return rig_is_full() ? run_separately(all) : run_together(all);
}
