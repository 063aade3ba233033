/* Processes that count together, and some that are killed while they do, over smuf (crew.h). */
#include "tests/stress/crew.h"

int
main(void)
{
	return crew_main("smuf increments", true);
}
