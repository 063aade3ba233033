#include "tests/stress/procfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 64, LINE_SIZE = 512, KIB = 1024 };

static FILE *
open_file(pid_t pid, const char *name)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
	return fopen(path, "re");
}

/* Returns the number in a line "field: N" or "field: N kB" of the status file. */
static int64_t
status_field(pid_t pid, const char *field)
{
	FILE *f = open_file(pid, "status");
	char line[LINE_SIZE];
	long long value = -1;

	if (f == NULL)
		return -1;
	while (value == -1 && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, field, strlen(field)) == 0)
			(void)sscanf(line + strlen(field), ": %lld", &value);
	fclose(f);
	return value;
}

static int64_t
status_bytes(pid_t pid, const char *field)
{
	int64_t value = status_field(pid, field);

	return value < 0 ? value : value * KIB;
}

/* Reads what follows the name, which may contain anything and ends at the last parenthesis. */
static int
read_stat(pid_t pid, char *state, long long *ticks)
{
	FILE *f = open_file(pid, "stat");
	char line[LINE_SIZE], *after;
	long long user = 0, system = 0;
	int n = 0;

	if (f == NULL)
		return -1;
	if (fgets(line, sizeof line, f) != NULL && (after = strrchr(line, ')')) != NULL)
		n = sscanf(after, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", state,
		    &user, &system);
	fclose(f);
	*ticks = user + system;
	return n == 3 ? 0 : -1;
}

static int64_t
count_fds(pid_t pid)
{
	char path[PATH_SIZE];
	struct dirent *entry;
	int64_t count = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

struct procfs_usage
procfs_usage(pid_t pid)
{
	struct procfs_usage u = { .cpu_ms = -1 };
	long long ticks;
	char state;

	u.memory = status_bytes(pid, "RssAnon");
	u.peak = status_bytes(pid, "VmHWM");
	u.fds = count_fds(pid);
	if (read_stat(pid, &state, &ticks) == 0)
		u.cpu_ms = ticks * 1000 / sysconf(_SC_CLK_TCK);
	return u;
}

int64_t
procfs_private(void)
{
	FILE *f = open_file(getpid(), "maps");
	unsigned long start, end, inode;
	char line[LINE_SIZE], shared;
	int64_t sum = 0;

	if (f == NULL)
		return -1;
	while (fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "%lx-%lx %*3c%c %*s %*s %lu", &start, &end, &shared, &inode) ==
			4 &&
		    shared == 'p' && inode == 0)
			sum += (int64_t)(end - start);
	fclose(f);
	return sum;
}

/* Nanoseconds; zeros where the kernel does not count them. */
struct schedule {
	unsigned long long ran, waited;
};

static struct schedule
read_schedule(pid_t thread)
{
	FILE *f = open_file(thread, "schedstat");
	struct schedule s = { 0 };

	if (f == NULL)
		return s;
	if (fscanf(f, "%llu %llu", &s.ran, &s.waited) != 2)
		s = (struct schedule){ 0 };
	fclose(f);
	return s;
}

uint64_t
procfs_awake_ns(pid_t pid)
{
	struct schedule s = read_schedule(pid);

	return s.ran + s.waited;
}

uint64_t
procfs_delayed_ns(pid_t thread)
{
	return read_schedule(thread).waited;
}

int64_t
procfs_sleeps(pid_t pid)
{
	return status_field(pid, "voluntary_ctxt_switches");
}

void
procfs_reset_peak(pid_t pid)
{
	char path[PATH_SIZE];
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/clear_refs", (long)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "5", 1);
	close(fd);
}

char
procfs_state(pid_t pid)
{
	long long ticks;
	char state;

	return read_stat(pid, &state, &ticks) == 0 ? state : '\0';
}
