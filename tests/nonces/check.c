/*
 * check FILE: whether any key stream was used twice in a log of testpoint_nonce()
 * (tests/nonces/record.h).
 *
 * Exits with 0 when none was; with 1 when some was, after a line for each; with 2 when the file is
 * no whole log: missing, empty, with a partial or impossible record.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/nonces/record.h"

enum { FINE, REPEATS, NO_LOG };

/* Compares by key, nonce and first. */
static int
compare(const void *left, const void *right)
{
	const struct nonce_record *a = left, *b = right;
	int order = memcmp(a->key, b->key, sizeof a->key);

	if (order == 0)
		order = memcmp(a->nonce, b->nonce, sizeof a->nonce);
	return order != 0 ? order : (a->first > b->first) - (a->first < b->first);
}

static void
print_hex(const uint8_t *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		printf("%02x", bytes[i]);
}

static uint64_t
end_of(const struct nonce_record *r)
{
	return (uint64_t)r->first + r->count;
}

static void
print_repeat(const struct nonce_record *earlier, const struct nonce_record *r)
{
	printf("used twice: key ");
	print_hex(r->key, sizeof r->key);
	printf(" nonce ");
	print_hex(r->nonce, sizeof r->nonce);
	printf(": units %" PRIu32 " to %" PRIu64 ", and %" PRIu32 " to %" PRIu64 "\n",
	    earlier->first, end_of(earlier) - 1, r->first, end_of(r) - 1);
}

/* Prints each repeat in sorted records, and counts the keys. Returns the number of repeats. */
static size_t
count_repeats(const struct nonce_record *records, size_t count, size_t *keys)
{
	const struct nonce_record *furthest = NULL, *r;
	size_t repeats = 0;

	*keys = 0;
	for (r = records; r < records + count; r++) {
		if (r == records || memcmp(r->key, r[-1].key, sizeof r->key) != 0)
			++*keys;
		if (r == records || memcmp(r->key, r[-1].key, sizeof r->key) != 0 ||
		    memcmp(r->nonce, r[-1].nonce, sizeof r->nonce) != 0)
			furthest = NULL;
		if (furthest != NULL && r->first < end_of(furthest)) {
			print_repeat(furthest, r);
			repeats++;
		}
		if (furthest == NULL || end_of(r) > end_of(furthest))
			furthest = r;
	}
	return repeats;
}

/*
 * Maps a private copy of the log at path, for sorting. Prints an error and returns NULL on failure.
 */
static struct nonce_record *
map_log(const char *path, size_t *count)
{
	struct nonce_record *records = NULL;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	} else if (st.st_size == 0) {
		fprintf(stderr, "%s: nothing was logged\n", path);
	} else if ((uint64_t)st.st_size % sizeof *records != 0) {
		fprintf(stderr, "%s: %jd bytes, which ends in a partial record of %zu\n", path,
		    (intmax_t)st.st_size, sizeof *records);
	} else {
		*count = (size_t)st.st_size / sizeof *records;
		records = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
		    0);
		if (records == MAP_FAILED) {
			fprintf(stderr, "%s: %s\n", path, strerror(errno));
			records = NULL;
		}
	}
	if (fd >= 0)
		(void)close(fd);
	return records;
}

int
main(int argc, char **argv)
{
	struct nonce_record *records;
	size_t count, keys, repeats, i;

	if (argc != 2) {
		fprintf(stderr, "usage: check FILE\n");
		return NO_LOG;
	}
	records = map_log(argv[1], &count);
	if (records == NULL)
		return NO_LOG;
	for (i = 0; i < count; i++) {
		if (records[i].count == 0 || end_of(&records[i]) > UINT64_C(1) << 32) {
			fprintf(stderr, "%s: record %zu uses %" PRIu32 " units from %" PRIu32 "\n",
			    argv[1], i, records[i].count, records[i].first);
			return NO_LOG;
		}
	}
	qsort(records, count, sizeof *records, compare);
	repeats = count_repeats(records, count, &keys);
	if (repeats != 0) {
		printf("%zu uses of key stream under %zu keys, %zu of them again\n", count, keys,
		    repeats);
		return REPEATS;
	}
	printf("%zu uses of key stream under %zu keys, no nonce twice\n", count, keys);
	return FINE;
}
