#include "tests/torture/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/stress/client.h"

enum { LOG_SHOWN = 32 * 1024 };

#define FILLER ".filler"
#define DISK_SIZE "size=4m"

/* A disk for the files of the memory files: this process and its children alone see it. */
static void
make_disk(struct stage *s, bool can_mount)
{
	if (s->round->trouble == ROUND_FULL_DISK && can_mount)
		s->has_disk = mount("torture", stage_directory(s), "tmpfs", 0,
				  DISK_SIZE ",mode=0700") == 0;
}

static void
start_daemon(struct stage *s, const struct pki *pki, bool can_mount)
{
	const struct round *r = s->round;

	/* A verbose log, which says why a connection has ended: it is shown after a fault. */
	struct daemon_config config = { .is_smuf = r->kind == ROUND_SMUF,
		.pki = r->has_tls ? pki : NULL,
		.tcp_host = r->has_tcp ? "127.0.0.1" : NULL,
		.args = { "-v" } };

	if (r->lease_ms != 0) {
		snprintf(s->lease, sizeof s->lease, "%u", r->lease_ms);
		config.args[1] = "-t";
		config.args[2] = s->lease;
	}
	daemon_init(&s->daemon, &config);
	make_disk(s, can_mount);
	daemon_start(&s->daemon);
}

void
stage_open(struct stage *s, const struct round *r, const struct pki *pki, bool can_mount)
{
	*s = (struct stage){ .round = r };
	if (r->kind != ROUND_SMC) {
		start_daemon(s, pki, can_mount);
		return;
	}
	smc_world_create(&s->world);
	s->world.locks = r->trouble == ROUND_BARE ? "none" : NULL;
	make_disk(s, can_mount);
}

/* False, with the name, when the directory of the memory files has one. */
static bool
is_empty(const struct stage *s, char text[STAGE_FILE_SIZE])
{
	const struct dirent *e = NULL;
	DIR *d = s->round->kind == ROUND_SMDISH ? NULL : opendir(stage_directory(s));

	if (d == NULL)
		return true;
	do
		e = readdir(d);
	while (e != NULL && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	if (e != NULL)
		snprintf(text, STAGE_FILE_SIZE, "all is closed, and the file %s is left",
		    e->d_name);
	closedir(d);
	return e == NULL;
}

bool
stage_close(struct stage *s, char text[STAGE_FILE_SIZE])
{
	bool is_right;

	if (s->round->kind != ROUND_SMC)
		daemon_stop(&s->daemon);
	is_right = s->round->trouble == ROUND_LIES || is_empty(s, text);
	if (s->has_disk)
		umount2(stage_directory(s), MNT_DETACH);
	if (s->round->kind == ROUND_SMC)
		smc_world_destroy(&s->world);
	else
		daemon_fini(&s->daemon);
	return is_right;
}

void
stage_show_log(const struct stage *s)
{
	size_t end = s->round->kind == ROUND_SMC ? 0 : daemon_log_mark(&s->daemon);

	if (end > 0)
		daemon_log_show(&s->daemon, end > LOG_SHOWN ? end - LOG_SHOWN : 0);
}

static struct sm *
mount_smc(const struct stage *s, const char *options)
{
	char uri[STAGE_FILE_SIZE], all[STAGE_FILE_SIZE + 64];
	struct sm *sm = sm_new();

	snprintf(uri, sizeof uri, "file:%s", s->world.memory);
	snprintf(all, sizeof all, "key=%s,%s%s%s", s->world.key, options,
	    s->world.locks != NULL ? ",locks=" : "", s->world.locks != NULL ? s->world.locks : "");
	if (sm != NULL && sm_mount(sm, uri, CLIENT_MOUNT, "smc", all) != 0) {
		sm_free(sm);
		sm = NULL;
	}
	return sm;
}

struct sm *
stage_mount(const struct stage *s)
{
	const struct round *r = s->round;
	char options[64];

	snprintf(options, sizeof options, "track=%s,sync=%s", r->track, r->sync);
	if (r->kind == ROUND_SMC)
		return mount_smc(s, options);
	return client_create_as(&s->daemon, r->has_tcp ? s->daemon.tcp : s->daemon.address,
	    "client", options);
}

void
stage_path(unsigned file, unsigned generation, char path[STAGE_PATH_SIZE])
{
	snprintf(path, STAGE_PATH_SIZE, CLIENT_MOUNT "/%c%u", (int)('a' + file), generation);
}

const char *
stage_directory(const struct stage *s)
{
	return s->round->kind == ROUND_SMC ? s->world.memory :
	    s->round->kind == ROUND_SMUF   ? s->daemon.memdir :
					     "";
}

static void
filler_path(const struct stage *s, char path[STAGE_FILE_SIZE])
{
	snprintf(path, STAGE_FILE_SIZE, "%s/" FILLER, stage_directory(s));
}

void
stage_fill(const struct stage *s)
{
	static const char zeros[4096];
	char path[STAGE_FILE_SIZE];
	int fd;

	if (!s->has_disk)
		return;
	filler_path(s, path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	while (fd >= 0 && write(fd, zeros, sizeof zeros) > 0)
		;
	close(fd);
}

void
stage_empty(const struct stage *s)
{
	char path[STAGE_FILE_SIZE];

	filler_path(s, path);
	if (s->has_disk)
		unlink(path);
}
