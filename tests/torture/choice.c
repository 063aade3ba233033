#include "tests/torture/choice.h"

/* splitmix64's function: neighbouring numbers give numbers that have nothing in common. */
static uint64_t
mix(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t
choice_branch(uint64_t stream, uint64_t number)
{
	return mix(mix(stream) ^ number);
}

struct choice
choice_begin(uint64_t stream)
{
	return (struct choice){ .stream = stream };
}

void
choice_next(struct choice *c)
{
	c->step++;
	c->drawn = 0;
}

uint64_t
choice_draw(struct choice *c, uint64_t below)
{
	return choice_branch(choice_branch(c->stream, c->step), c->drawn++) % below;
}

bool
choice_happens(struct choice *c, unsigned percent)
{
	return choice_draw(c, 100) < percent;
}
