#include "bench/kind.h"

#include <err.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define MASTER_KEY_SIZE 32 /* nothing else may be in its file */

const struct kind kinds[KIND_COUNT] = {
	{ "smdish", "/memserver0", "smdishserver", NULL, NULL,
	    "MOUNT unix:@/smdishserver.sock /memserver0 smdish name=smdishserver",
	    "segments in the server's memory" },
	{ "smuf", "/memserver1", "smufserver", "smuf", NULL,
	    "MOUNT unix:@/smufserver.sock,file:@/smuf /memserver1,/memfiles1 smuf name=smufserver",
	    "segments sealed in the host's files" },
	{ "smc", "/memserver2", NULL, "smc", "smc.key",
	    "MOUNT file:@/smc /memserver2,/memfiles2 smc key=@/smc.key",
	    "no server, segments encrypted in the host's files" },
};

const struct kind *
kind_find(const char *type)
{
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (strcmp(kinds[i].type, type) == 0)
			return &kinds[i];
	return NULL;
}

size_t
kind_index(const struct kind *kind)
{
	return (size_t)(kind - kinds);
}

void
kind_write_mount(FILE *file, const struct kind *kind, const char *directory)
{
	for (const char *c = kind->mount; *c != '\0'; c++)
		if (*c == '@')
			fputs(directory, file);
		else
			fputc(*c, file);
	fputc('\n', file);
}

static int
make_key(const char *path)
{
	unsigned char key[MASTER_KEY_SIZE];
	FILE *file = fopen(path, "w");

	if (file == NULL || getrandom(key, sizeof key, 0) != sizeof key ||
	    (fwrite(key, sizeof key, 1, file) != 1) | fclose(file)) {
		warn("%s", path);
		return -1;
	}
	return 0;
}

int
kind_furnish(const struct kind *kind, const char *directory)
{
	char path[PATH_MAX];

	if (kind->files != NULL) {
		snprintf(path, sizeof path, "%s/%s", directory, kind->files);
		if (mkdir(path, 0700) == -1) {
			warn("%s", path);
			return -1;
		}
	}
	if (kind->key == NULL)
		return 0;
	snprintf(path, sizeof path, "%s/%s", directory, kind->key);
	return make_key(path);
}
