#include "tests/stress/noncelog.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/nonces/record.h"

enum {
	STREAM_SIZE = sizeof((struct nonce_record *)0)->key +
	    sizeof((struct nonce_record *)0)->nonce
};

/* Compares key and nonce, which are adjacent. */
static int
compare_streams(const struct nonce_record *a, const struct nonce_record *b)
{
	return memcmp(a, b, STREAM_SIZE);
}

static int
compare(const void *left, const void *right)
{
	const struct nonce_record *a = left, *b = right;
	int order = compare_streams(a, b);

	return order != 0 ? order : (a->first > b->first) - (a->first < b->first);
}

static uint64_t
end_of(const struct nonce_record *r)
{
	return (uint64_t)r->first + r->count;
}

static void
tell(const struct nonce_record *r, FILE *out)
{
	const uint8_t *bytes = r->key;
	size_t i;

	fprintf(out, "used twice: unit %lu of key and nonce ", (unsigned long)r->first);
	for (i = 0; i < STREAM_SIZE; i++)
		fprintf(out, "%02x%s", bytes[i], i + 1 == sizeof r->key ? " " : "");
	fputc('\n', out);
}

/* Checks sorted records. */
static int
check(const struct nonce_record *records, size_t count, FILE *out)
{
	const struct nonce_record *r;
	size_t keys = 0, repeats = 0;
	uint64_t used = 0; /* units of this stream, up to here */

	for (r = records; r < records + count; r++) {
		if (r == records || memcmp(r->key, r[-1].key, sizeof r->key) != 0)
			keys++;
		if (r == records || compare_streams(r, r - 1) != 0)
			used = 0;
		if (r->first < used) {
			tell(r, out);
			repeats++;
		}
		used = end_of(r) > used ? end_of(r) : used;
	}
	if (repeats == 0)
		fprintf(out, "%zu uses of key stream under %zu keys: no nonce twice\n", count,
		    keys);
	return repeats != 0;
}

static int
load(const char *path, struct nonce_record **out, size_t *count)
{
	FILE *f = fopen(path, "re");
	struct nonce_record *records;
	struct stat st;
	int error = 0;

	if (f == NULL)
		return -errno;
	if (fstat(fileno(f), &st) != 0)
		error = -errno;
	else if (st.st_size == 0)
		error = -ENODATA;
	else if ((size_t)st.st_size % sizeof *records != 0)
		error = -EBADMSG;
	records = error == 0 ? malloc((size_t)st.st_size) : NULL;
	if (error == 0 && records == NULL)
		error = -ENOMEM;
	if (error == 0 && fread(records, (size_t)st.st_size, 1, f) != 1)
		error = -EIO;
	fclose(f);
	if (error != 0) {
		free(records);
		return error;
	}
	*count = (size_t)st.st_size / sizeof *records;
	*out = records;
	return 0;
}

int
noncelog_check(const char *path, FILE *out)
{
	struct nonce_record *records = NULL;
	size_t count = 0, i;
	int result = load(path, &records, &count);

	for (i = 0; i < count && result == 0; i++)
		if (records[i].count == 0 || end_of(&records[i]) > UINT64_C(1) << 32)
			result = -EBADMSG;
	if (result == 0) {
		qsort(records, count, sizeof *records, compare);
		result = check(records, count, out);
	}
	free(records);
	return result;
}

size_t
noncelog_count(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size / sizeof(struct nonce_record) : 0;
}
