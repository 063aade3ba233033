#include "tests/torture/lies.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 512, PAGE = 4096, FLIPS_MOST = 16 };

enum lie { FLIPS_BITS, EXCHANGES_PAGES, COPIES_A_PAGE, WRITES_ZEROS, CUTS, REMOVES, LIES };

/* Of one file, one page that it had when an earlier lie was told. */
static struct {
	char path[PATH_SIZE];
	uint64_t page;
	char bytes[PAGE];
} memory;

/* The server's own file is not about a memory file. */
static int
is_of_memory_file(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Writes the path of the nth file, modulo their number, to out. */
static bool
find_file(const char *directory, uint64_t n, char out[PATH_SIZE])
{
	struct dirent **names = NULL;
	int count = scandir(directory, &names, is_of_memory_file, alphasort), i;

	if (count > 0)
		snprintf(out, PATH_SIZE, "%s/%s", directory, names[n % (uint64_t)count]->d_name);
	for (i = 0; i < count; i++)
		free(names[i]);
	free(names);
	return count > 0;
}

/* False when the page cannot be read whole. */
static bool
read_page(int fd, uint64_t page, char bytes[PAGE])
{
	return pread(fd, bytes, PAGE, (off_t)(page * PAGE)) == PAGE;
}

static void
write_page(int fd, uint64_t page, const char bytes[PAGE])
{
	if (pwrite(fd, bytes, PAGE, (off_t)(page * PAGE)) != PAGE)
		perror("torture: a lie was not written");
}

static void
flip_bits(int fd, uint64_t page, struct choice *c)
{
	char bytes[PAGE];
	uint64_t count = 1 + choice_draw(c, FLIPS_MOST), i;

	if (!read_page(fd, page, bytes))
		return;
	for (i = 0; i < count; i++)
		bytes[choice_draw(c, PAGE)] ^= (char)(1 << choice_draw(c, 8));
	write_page(fd, page, bytes);
}

static void
exchange_pages(int fd, uint64_t page, uint64_t other)
{
	char a[PAGE], b[PAGE];

	if (!read_page(fd, page, a) || !read_page(fd, other, b))
		return;
	write_page(fd, page, b);
	write_page(fd, other, a);
}

/* Puts back what was there before, and keeps what is there for a later lie. */
static void
put_older_back(int fd, const char *path, uint64_t page)
{
	if (strcmp(memory.path, path) == 0)
		write_page(fd, memory.page, memory.bytes);
	snprintf(memory.path, sizeof memory.path, "%s",
	    read_page(fd, page, memory.bytes) ? path : "");
	memory.page = page;
}

static void
tell(int fd, const char *path, uint64_t pages, bool cuts, struct choice *c)
{
	static const char zeros[PAGE];
	enum lie lie = (enum lie)choice_draw(c, LIES);
	uint64_t page = choice_draw(c, pages), other = choice_draw(c, pages);

	if (lie == FLIPS_BITS)
		flip_bits(fd, page, c);
	else if (lie == EXCHANGES_PAGES)
		exchange_pages(fd, page, other);
	else if (lie == COPIES_A_PAGE)
		put_older_back(fd, path, page);
	else if (lie == WRITES_ZEROS)
		write_page(fd, page, zeros);
	else if (lie == CUTS && cuts && ftruncate(fd, (off_t)(page * PAGE)) != 0)
		perror("torture: ftruncate");
	else if (lie == REMOVES)
		unlink(path);
}

void
lies_tell(const char *directory, bool cuts, struct choice *c)
{
	uint64_t which = choice_draw(c, UINT32_MAX);
	char path[PATH_SIZE];
	struct stat st;
	int fd;

	if (!find_file(directory, which, path))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= PAGE)
		tell(fd, path, (uint64_t)st.st_size / PAGE, cuts, c);
	if (fd >= 0)
		close(fd);
}
