#include "bench/probe.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/base/standard.h"
#include "common/client/smclient.h"
#include "common/host/ground.h"
#include "common/host/groundfiles.h"

struct row {
	const char *name;
	const char *without; /* a phrase: the consequence of its absence */
};

static const struct row system_rows[GROUND_FACTS] = {
	[GROUND_STATX] = { "statx(2)", "fstat(2) is used, which costs a little more" },
	[GROUND_FLOCK] = { "flock(2)", "servers: no -p; smufserver: the count keeps others out" },
	[GROUND_KERNEL_LOCKS] = { "F_OFD_SETLK", "smc: locks=none; smufserver: the count" },
	[GROUND_USERFAULTFD] = { "userfaultfd(2)", "unlocking compares what is mapped" },
	[GROUND_SIGNALFD] = { "signalfd(2)",
	    "servers look for signals every second; smbench runs none" },
	[GROUND_PARENT_DEATH] = { "prctl(2)", "killing smbench leaves its processes" },
	[GROUND_SHARED_MEMORY] = { "shared memory of forks", "smbench: a job only, no table" },
};

static const struct row file_rows[GROUNDFILES_FACTS] = {
	[GROUNDFILES_PREAD] = { "pread(2), pwrite(2)", "clients map; smufserver -r refuses" },
	[GROUNDFILES_MAPPING] = { "shared mappings", "smc refuses; smuf needs pread(2)" },
	[GROUNDFILES_FUTEX] = { "futex(2) across processes", "smc: waiters look again and again" },
	[GROUNDFILES_LOCKS] = { "F_OFD_SETLK", "smc: locks=none, the dead keep a lock" },
	[GROUNDFILES_FLOCK] = { "flock(2)", "smufserver: the count keeps others out" },
	[GROUNDFILES_SIZE] = { "sizes that others change", "a size is not believed" },
	[GROUNDFILES_LINKS] = { "links of removed files", "names are opened again" },
};

static void
print_row(const struct row *row, int error)
{
	if (error == 0)
		printf("  %-26s yes\n", row->name);
	else
		printf("  %-26s no   (%s: %s)\n", row->name,
		    error == -ENOTSUP ? "without an error" : strerror(-error), row->without);
}

static void
print_system(void)
{
	int errors[GROUND_FACTS], fact;
	struct utsname name;

	for (fact = 0; fact < GROUND_FACTS; fact++)
		errors[fact] = ground_error((enum ground_fact)fact);
	printf("smbench %s", sm_version());
	if (uname(&name) == 0)
		printf(", %s %s %s", name.sysname, name.release, name.machine);
	printf("\nthis system:\n");
	for (fact = 0; fact < GROUND_FACTS; fact++)
		print_row(&system_rows[fact], errors[fact]);
}

static int
print_directory(const char *path)
{
	struct groundfiles found;
	int error, fact;

	/* Children find facts out; ThreadSanitizer makes them print what is in a buffer. */
	(void)standard_flush();
	error = groundfiles_probe(&found, path);
	if (error != 0) {
		warnx("%s: %s", path, strerror(-error));
		return error;
	}
	printf("files in %s:\n", path);
	for (fact = 0; fact < GROUNDFILES_FACTS; fact++)
		print_row(&file_rows[fact], found.errors[fact]);
	return 0;
}

int
probe_run(char *const *directories, int count)
{
	int status = 0, i;

	print_system();
	for (i = 0; i < count; i++)
		if (print_directory(directories[i]) != 0)
			status = 1;
	return status;
}
