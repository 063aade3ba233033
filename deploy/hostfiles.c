#include "deploy/hostfiles.h"

#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "deploy/lines.h"

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static bool
is_file(const FTSENT *entry)
{
	struct stat st;

	return entry->fts_info == FTS_F ||
	    (entry->fts_info == FTS_SL && stat(entry->fts_accpath, &st) == 0 &&
		S_ISREG(st.st_mode));
}

/* Adds one entry of the walk. */
static int
visit(struct lines *out, const FTSENT *entry, const char *path)
{
	switch (entry->fts_info) {
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return error_message(-entry->fts_errno, "%s: %s", entry->fts_path,
		    error_string(-entry->fts_errno));
	case FTS_F:
	case FTS_SL:
		break;
	default:
		return 0;
	}
	if (!is_file(entry))
		return 0;
	if (has_control(entry->fts_path))
		return error_message(-EINVAL,
		    "%s: a file there has a control character in its name", path);
	lines_add(out, "%s", entry->fts_path);
	return 0;
}

int
hostfiles_list(struct lines *out, const char *path)
{
	char *paths[] = { (char *)path, NULL };
	FTS *walk = fts_open(paths, FTS_COMFOLLOW | FTS_NOCHDIR | FTS_PHYSICAL, NULL);
	const FTSENT *entry;
	int error = 0;

	if (walk == NULL)
		return error_message(-errno, "%s: %s", path, error_string(-errno));
	errno = 0;
	while (error == 0 && (entry = fts_read(walk)) != NULL)
		error = visit(out, entry, path);
	if (error == 0 && errno != 0)
		error = error_message(-errno, "%s: %s", path, error_string(-errno));
	(void)fts_close(walk);
	lines_sort(out);
	return error == 0 ? lines_error(out) : error;
}
