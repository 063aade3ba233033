/* smdishserver: the server of common/server with segments in its own memory. */
#include "common/server/main.h"
#include "common/server/options.h"
#include "smdish/store.h"

int
main(int argc, char **argv)
{
	const struct options_program program = { .name = "smdishserver", .has_lease = true };

	return main_run(&program, &smdish_store, argc, argv);
}
