/* Processes that count together, some of which are killed meanwhile, over smuf (crew.h). */
#include "tests/stress/crew.h"

int
main(void)
{
	return crew_main("smuf increments", true);
}
