/* smufserver: the server of common/server with segments in sealed files of the host. */
#include "common/server/main.h"
#include "common/server/options.h"
#include "smuf/store.h"

int
main(int argc, char **argv)
{
	const struct options_program program = { .name = "smufserver", .has_memdir = true };

	return main_run(&program, &smuf_store, argc, argv);
}
