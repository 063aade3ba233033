/* Processes that count together, some of which are killed meanwhile, over smdish (crew.h). */
#include "tests/stress/crew.h"

int
main(void)
{
	return crew_main("increments", false);
}
