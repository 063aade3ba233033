/* patience MS: prints what patience_ms(MS) is now, for scripts. */
#include "tests/stress/patience.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: patience MS\n");
		return 2;
	}
	printf("%" PRIu64 "\n", patience_ms(strtoull(argv[1], NULL, 10)));
	return 0;
}
