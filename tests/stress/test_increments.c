/* Processes that count together, and some that are killed while they do, over smdish (crew.h). */
#include "tests/stress/crew.h"

int
main(void)
{
	return crew_main("increments", false);
}
