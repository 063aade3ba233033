#include "bench/tool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct where {
	const char *name;
	const char *places[6]; /* seen from the directory that smbench is in; NULL ends */
};

static const struct where wheres[] = {
	[TOOL_SMDISHSERVER] = { "smdishserver", { ".", NULL } },
	[TOOL_SMUFSERVER] = { "smufserver", { ".", NULL } },
	/* in a tree, also from build/asan; installed; copied side by side */
	[TOOL_MKPKI] = { "mkpki",
	    { "../deploy", "../../deploy", "../libexec/memserver", "../libexec", ".", NULL } },
};

const char *
tool_name(enum tool tool)
{
	return wheres[tool].name;
}

/* Write DIR/PLACE/NAME to out if that is a program; it may be too long to be one. */
static bool
try_place(char out[PATH_MAX], const char *dir, size_t dir_size, const char *place, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof path, "%.*s/%s/%s", (int)dir_size, dir, place, name);

	if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) == -1 || !S_ISREG(st.st_mode) ||
	    access(path, X_OK) == -1)
		return false;
	memcpy(out, path, (size_t)n + 1);
	return true;
}

int
tool_find(char out[PATH_MAX], enum tool tool)
{
	const struct where *where = &wheres[tool];
	const char *path = getenv("PATH");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n == -1)
		return -errno;
	self[n] = '\0';
	for (size_t i = 0; where->places[i] != NULL; i++)
		if (try_place(out, self, (size_t)(strrchr(self, '/') - self), where->places[i],
			where->name))
			return 0;
	while (path != NULL && *path != '\0') {
		size_t size = strcspn(path, ":");

		if (size > 0 && try_place(out, path, size, ".", where->name))
			return 0;
		path += size + (path[size] == ':');
	}
	return -ENOENT;
}
