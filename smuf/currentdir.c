#include "smuf/currentdir.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "smuf/layout.h"

static bool
is_one_of(const char *name, const char *const paths[], size_t count)
{
	struct stat file, own;
	size_t i;

	if (stat(name, &file) != 0)
		return false;
	for (i = 0; i < count; i++)
		if (paths[i] != NULL && stat(paths[i], &own) == 0 && own.st_dev == file.st_dev &&
		    own.st_ino == file.st_ino)
			return true;
	return false;
}

/* Copies the name of a file that is not the server's; "" when there is none. */
static void
find_foreign(DIR *list, const char *const own[], size_t count, char out[LOG_ESCAPED_SIZE])
{
	struct dirent *e;

	*out = '\0';
	while ((e = readdir(list)) != NULL) {
		if (strcmp(e->d_name, LAYOUT_DIRECTORY_LOCK) == 0) {
			*out = '\0';
			return;
		}
		if (*out == '\0' && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !is_one_of(e->d_name, own, count))
			log_escape(out, e->d_name, strlen(e->d_name));
	}
}

int
currentdir_check(const char *const own[], size_t count)
{
	char name[LOG_ESCAPED_SIZE];
	DIR *list = opendir(".");

	if (list == NULL)
		return -errno;
	find_foreign(list, own, count, name);
	(void)closedir(list);
	if (*name == '\0')
		return 0;
	return error_message(-ENOTEMPTY,
	    "the current directory has other files, such as %s: give -r MEMDIR, a directory for memory files alone",
	    name);
}
