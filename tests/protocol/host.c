#include "tests/protocol/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = PATH_MAX };

static bool
parse_name(struct host_statement *h, struct text *t)
{
	struct buf name = { 0 };
	bool ok = text_get_bytes(t, &name);

	if (ok && buf_size(&name) >= sizeof h->name)
		ok = text_fail(t, "a file's name of %zu bytes", buf_size(&name));
	if (ok) {
		memcpy(h->name, buf_data(&name), buf_size(&name));
		h->name[buf_size(&name)] = '\0';
	}
	buf_fini(&name);
	return ok;
}

static bool
parse_word(struct host_statement *h, struct text *t)
{
	if (!text_get_number(t, &h->offset))
		return false;
	text_get_sign(t, h->sign);
	h->verb = strcmp(h->sign, ":=") == 0 ? HOST_WRITE : HOST_COMPARE;
	if (h->verb == HOST_COMPARE && text_compare(0, h->sign, 0) < 0)
		return text_fail(t, "not a comparison: '%s'", h->sign);
	return text_get_number(t, &h->value);
}

bool
host_parse(struct host_statement *h, struct text *t)
{
	bool ok = true;

	*h = (struct host_statement){ 0 };
	if (!parse_name(h, t))
		return false;
	h->is_soon = text_accept(t, "soon ");
	if (text_accept(t, "is gone")) {
		h->verb = HOST_IS_GONE;
	} else if (text_accept(t, "appears")) {
		h->verb = HOST_APPEARS;
	} else if (text_accept(t, "goes")) {
		h->verb = HOST_GOES;
	} else if (text_accept(t, "size ")) {
		h->verb = HOST_SIZE;
		ok = text_get_number(t, &h->value);
	} else {
		ok = parse_word(h, t);
	}
	return ok &&
	    (text_is_at_end(t) || text_fail(t, "not part of a host's file: '%s'", t->next));
}

/* Sets the reason, which begins with the name. Returns false. */
static bool fail(const struct host_statement *h, char reason[HOST_REASON_SIZE], const char *format,
    ...) __attribute__((format(printf, 3, 4)));

static bool
fail(const struct host_statement *h, char reason[HOST_REASON_SIZE], const char *format, ...)
{
	int used = snprintf(reason, HOST_REASON_SIZE, "the host's file %.40s: ", h->name);
	va_list args;

	va_start(args, format);
	vsnprintf(reason + used, HOST_REASON_SIZE - (size_t)used, format, args);
	va_end(args);
	return false;
}

static bool
check_size(const struct host_statement *h, const char *path, char reason[HOST_REASON_SIZE])
{
	struct stat st;
	bool is_there = lstat(path, &st) == 0;

	if (h->verb == HOST_IS_GONE)
		return !is_there || fail(h, reason, "expected: is gone\n\tgot:      it is there");
	if (!is_there)
		return fail(h, reason, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 07777) != 0660)
		return fail(h, reason, "its mode is 0%o", (unsigned)st.st_mode);
	return (uint64_t)st.st_size == h->value ||
	    fail(h, reason, "expected: size %llu\n\tgot:      %lld", (unsigned long long)h->value,
		(long long)st.st_size);
}

static bool
do_word(const struct host_statement *h, const char *path, char reason[HOST_REASON_SIZE])
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint32_t word = (uint32_t)h->value;
	ssize_t n;

	if (fd < 0)
		return fail(h, reason, "%s", strerror(errno));
	n = h->verb == HOST_WRITE ? pwrite(fd, &word, sizeof word, (off_t)h->offset) :
				    pread(fd, &word, sizeof word, (off_t)h->offset);
	close(fd);
	if (n != sizeof word)
		return fail(h, reason, "%zd bytes instead of 4", n);
	return h->verb == HOST_WRITE || text_compare(word, h->sign, h->value) > 0 ||
	    fail(h, reason, "expected: %llu %s %llu\n\tgot:      %lu",
		(unsigned long long)h->offset, h->sign, (unsigned long long)h->value,
		(unsigned long)word);
}

static bool
make(const struct host_statement *h, const char *path, char reason[HOST_REASON_SIZE])
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(h, reason, "%s", strerror(errno));
	close(fd);
	return true;
}

bool
host_do(const struct host_statement *h, const char *directory, char reason[HOST_REASON_SIZE])
{
	char path[PATH_SIZE];

	snprintf(path, sizeof path, "%s/%s", directory, h->name);
	switch (h->verb) {
	case HOST_SIZE:
	case HOST_IS_GONE:
		return check_size(h, path, reason);
	case HOST_APPEARS:
		return make(h, path, reason);
	case HOST_GOES:
		return unlink(path) == 0 || fail(h, reason, "%s", strerror(errno));
	default:
		return do_word(h, path, reason);
	}
}
