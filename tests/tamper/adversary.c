#include "tests/tamper/adversary.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host/filename.h"
#include "smuf/layout.h"
#include "tests/stress/patience.h"

enum { MODE = 0660 };

static const char *const suffixes[MATRIX_FILES] = { "", FILENAME_SUFFIX };

#define MUST(call) must(#call, (call) >= 0)

static void
must(const char *call, bool is_fine)
{
	if (!is_fine)
		fail_msg("%s: %s", call, strerror(errno));
}

void
adversary_begin(struct adversary *a, const struct daemon *d, const char *name, const char *another)
{
	struct adversary_file *f;
	struct stat st;
	int i;

	*a = (struct adversary){ 0 };
	for (i = 0; i < MATRIX_FILES; i++) {
		f = &a->files[i];
		snprintf(f->path, sizeof f->path, "%s/%s%s", d->memdir, name, suffixes[i]);
		snprintf(f->another, sizeof f->another, "%s/%s%s", d->memdir, another, suffixes[i]);
		snprintf(f->aside, sizeof f->aside, "%s/aside.%s%s", d->dir, name, suffixes[i]);
		MUST(f->fd = open(f->path, O_RDWR | O_CLOEXEC));
		MUST(fstat(f->fd, &st));
		f->size = (uint64_t)st.st_size;
		MUST(link(f->path, f->aside));
	}
}

void
adversary_end(struct adversary *a)
{
	struct adversary_file *f;
	int i, j;

	for (i = 0; i < MATRIX_FILES; i++) {
		f = &a->files[i];
		MUST(unlink(f->aside));
		close(f->fd);
		for (j = 0; j < MATRIX_MOMENTS; j++)
			free(f->past[j]);
	}
}

void
adversary_look(struct adversary *a, unsigned moment)
{
	struct adversary_file *f;
	int i;

	for (i = 0; i < MATRIX_FILES; i++) {
		f = &a->files[i];
		f->past[moment] = malloc(f->size);
		assert_non_null(f->past[moment]);
		assert_int_equal(pread(f->fd, f->past[moment], f->size, 0), f->size);
	}
}

static void
put(const struct adversary_file *f, uint64_t from, const void *bytes, uint64_t length)
{
	assert_int_equal(pwrite(f->fd, bytes, length, (off_t)from), length);
}

static void
flip(const struct adversary_file *f, uint64_t at, unsigned bit)
{
	uint8_t byte;

	if (pread(f->fd, &byte, 1, (off_t)at) != 1)
		return;
	byte ^= (uint8_t)(1u << bit % 8);
	put(f, at, &byte, 1);
}

static void
overwrite(const struct adversary_file *f, const struct matrix_case *c)
{
	uint8_t *bytes = calloc(1, c->length);
	uint64_t i;

	assert_non_null(bytes);
	for (i = 0; c->op == MATRIX_NOISE && i < c->length; i++)
		bytes[i] = (uint8_t)(random() >> 7);
	put(f, c->from, bytes, c->length);
	free(bytes);
}

static void
swap(const struct adversary_file *f, const struct matrix_case *c)
{
	put(f, c->from, f->past[MATRIX_NOW] + c->other, c->length);
	put(f, c->other, f->past[MATRIX_NOW] + c->from, c->length);
}

/* Reads as many bytes of the other memory file's file. */
static uint8_t *
read_another(const struct adversary_file *f)
{
	uint8_t *bytes = malloc(f->size);
	int fd = open(f->another, O_RDONLY | O_CLOEXEC);

	assert_non_null(bytes);
	must(f->another, fd >= 0);
	assert_int_equal(pread(fd, bytes, f->size, 0), f->size);
	close(fd);
	return bytes;
}

/* Overwrites the file with the bytes, or gives its name to a new file that has them. */
static void
replace(const struct adversary_file *f, bool is_renamed, const uint8_t *bytes)
{
	char path[ADVERSARY_PATH_SIZE + 4];
	int fd;

	if (!is_renamed) {
		put(f, 0, bytes, f->size);
		return;
	}
	snprintf(path, sizeof path, "%s.new", f->aside);
	MUST(fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE));
	assert_int_equal(write(fd, bytes, f->size), f->size);
	close(fd);
	MUST(rename(path, f->path));
}

static void
replace_by_another(const struct adversary_file *f, bool is_renamed)
{
	uint8_t *bytes = read_another(f);

	replace(f, is_renamed, bytes);
	free(bytes);
}

static void *
shake(void *arg)
{
	struct adversary *a = arg;
	const struct matrix_case *c = a->shaken;
	const struct adversary_file *f = &a->files[c->file];
	bool is_cutting = c->op == MATRIX_CUT_READERS || c->op == MATRIX_CUT_SEALER;
	unsigned seed = 1;

	while (!atomic_load(&a->is_over)) {
		if (is_cutting) {
			/* This thread must not call cmocka. */
			if (ftruncate(f->fd, 0) != 0 || ftruncate(f->fd, (off_t)f->size) != 0)
				abort();
		} else {
			flip(f, c->from + (uint64_t)rand_r(&seed) % c->length,
			    (unsigned)rand_r(&seed) >> 8);
		}
		atomic_fetch_add(&a->shakes, 1);
	}
	return NULL;
}

void
adversary_tamper(struct adversary *a, const struct matrix_case *c)
{
	struct adversary_file *f = &a->files[c->file];

	switch (c->op) {
	case MATRIX_NOTHING:
		break;
	case MATRIX_FLIP:
		flip(f, c->from, (unsigned)c->other);
		break;
	case MATRIX_ZERO:
	case MATRIX_NOISE:
		overwrite(f, c);
		break;
	case MATRIX_YESTERDAY:
		put(f, c->from, f->past[MATRIX_FIRST] + c->from, c->length);
		break;
	case MATRIX_SWAP:
		swap(f, c);
		break;
	case MATRIX_TRUNCATE:
		MUST(ftruncate(f->fd, (off_t)c->from));
		break;
	case MATRIX_EXTEND:
		MUST(ftruncate(f->fd, (off_t)(f->size + c->length)));
		break;
	case MATRIX_ROLLBACK:
		replace(f, c->is_renamed, f->past[c->other]);
		break;
	case MATRIX_ANOTHERS:
		replace_by_another(f, c->is_renamed);
		break;
	case MATRIX_UNLINK:
		MUST(unlink(f->path));
		break;
	case MATRIX_LINK_ANOTHER:
		MUST(unlink(f->path));
		MUST(symlink(f->another, f->path));
		break;
	case MATRIX_LINK_NOWHERE:
		MUST(unlink(f->path));
		MUST(symlink("/nowhere/at/all", f->path));
		break;
	case MATRIX_DIRECTORY:
		MUST(unlink(f->path));
		MUST(mkdir(f->path, 0700));
		break;
	case MATRIX_FIFO:
		MUST(unlink(f->path));
		MUST(mkfifo(f->path, MODE));
		break;
	case MATRIX_FORBID:
		MUST(fchmod(f->fd, 0));
		break;
	case MATRIX_SHAKE_READERS:
	case MATRIX_SHAKE_SEALER:
	case MATRIX_CUT_READERS:
	case MATRIX_CUT_SEALER:
		a->shaken = c;
		atomic_store(&a->is_over, false);
		atomic_store(&a->shakes, 0);
		assert_int_equal(pthread_create(&a->shaker, NULL, shake, a), 0);
		while (atomic_load(&a->shakes) == 0)
			patience_breathe();
	}
}

void
adversary_stop(struct adversary *a)
{
	atomic_store(&a->is_over, true);
	assert_int_equal(pthread_join(a->shaker, NULL), 0);
}

void
adversary_restore(struct adversary *a)
{
	struct adversary_file *f;
	struct stat mine, there;
	int i;

	for (i = 0; i < MATRIX_FILES; i++) {
		f = &a->files[i];
		MUST(fstat(f->fd, &mine));
		if (lstat(f->path, &there) != 0 || mine.st_ino != there.st_ino) {
			(void)remove(f->path);
			MUST(link(f->aside, f->path));
		}
		MUST(fchmod(f->fd, MODE));
		MUST(ftruncate(f->fd, (off_t)f->size));
		put(f, 0, f->past[MATRIX_NOW], f->size);
	}
}

/* Opens the file as a client does that finds the file itself, or nothing. */
static int
open_late(const struct adversary_file *f)
{
	struct stat st;

	if (lstat(f->path, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & MODE) == 0 ||
	    (uint64_t)st.st_size < f->size)
		return -EIO;
	return open(f->path, O_RDONLY | O_CLOEXEC);
}

int
adversary_read(const struct adversary *a, bool is_late, uint64_t offset, void *out, size_t size)
{
	const struct adversary_file *f = &a->files[MATRIX_SEGMENT];
	int fd = is_late ? open_late(f) : dup(f->fd);
	ssize_t n;

	if (fd < 0)
		return -EIO;
	n = pread(fd, out, size, (off_t)offset);
	close(fd);
	return n == (ssize_t)size ? 0 : -EIO;
}
