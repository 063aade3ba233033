#include "tests/stress/smc.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "common/crypto/keys.h"

enum { KEY_BYTE = 0x6b };

bool
smc_write_file(const char *path, uint8_t byte, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
	size_t i;

	if (fd < 0)
		return false;
	for (i = 0; i < size; i++)
		if (write(fd, &byte, 1) != 1)
			break;
	return close(fd) == 0 && i == size;
}

void
smc_world_create(struct smc_world *w)
{
	w->locks = NULL;
	scratch_create(w->dir);
	snprintf(w->memory, sizeof w->memory, "%s/memory", w->dir);
	snprintf(w->key, sizeof w->key, "%s/master", w->dir);
	if (mkdir(w->memory, 0700) != 0 || !smc_write_file(w->key, KEY_BYTE, KEYS_SIZE))
		fail_msg("%s: %s", w->dir, strerror(errno));
}

void
smc_world_destroy(struct smc_world *w)
{
	scratch_remove(w->dir);
}

int
smc_world_teardown(void **state)
{
	smc_world_destroy(*state);
	return 0;
}

const char *
smc_path(const struct smc_world *w, const char *name, const char *suffix)
{
	static char path[2 * SMC_PATH_SIZE];

	snprintf(path, sizeof path, "%s/%s%s", w->memory, name, suffix);
	return path;
}

struct sm *
smc_mount(const struct smc_world *w, const char *key)
{
	char uri[SMC_PATH_SIZE + 8], options[SMC_PATH_SIZE + 24];
	struct sm *sm = sm_new();
	int error;

	snprintf(uri, sizeof uri, "file:%s", w->memory);
	snprintf(options, sizeof options, "%s%s%s%s%s", key != NULL ? "key=" : "",
	    key != NULL ? key : "", key != NULL && w->locks != NULL ? "," : "",
	    w->locks != NULL ? "locks=" : "", w->locks != NULL ? w->locks : "");
	if (sm == NULL || sm_mount(sm, uri, SMC_MOUNT, "smc", options) == 0)
		return sm;
	error = errno;
	sm_free(sm);
	errno = error;
	return NULL;
}

int
smc_join_as(struct client *p, const struct smc_world *w, const char *key, const char *name,
    size_t size)
{
	char path[SMC_PATH_SIZE];
	int error;

	*p = (struct client){ .sm = smc_mount(w, key) };
	if (p->sm == NULL)
		return errno;
	snprintf(path, sizeof path, SMC_MOUNT "/%s", name);
	if (client_open_file(p, path, size))
		return 0;
	error = errno;
	client_close(p);
	return error;
}

int
smc_join(struct client *p, const struct smc_world *w, const char *name, size_t size)
{
	return smc_join_as(p, w, w->key, name, size);
}

static volatile uint64_t *
word(const uint8_t *segment, int block)
{
	return (volatile uint64_t *)(segment + (size_t)block * SIZE_BLOCK);
}

void
smc_count(uint8_t *segment)
{
	int block;

	for (block = 0; block < SMC_BLOCKS; block++)
		++*word(segment, block);
}

void
smc_poison(uint8_t *segment)
{
	*word(segment, SMC_BLOCKS) = UINT64_MAX;
}

int64_t
smc_value(const uint8_t *segment)
{
	uint64_t value = *word(segment, 0);
	int block;

	for (block = 1; block < SMC_BLOCKS; block++)
		if (*word(segment, block) != value)
			return -1;
	return *word(segment, SMC_BLOCKS) == 0 ? (int64_t)value : -1;
}
