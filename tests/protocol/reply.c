#include "tests/protocol/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/wire/delta.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "tests/protocol/fields.h"

/* Appends to a string of REPLY_TEXT_SIZE bytes, as far as it fits. */
static void append(char *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
append(char *out, const char *format, ...)
{
	size_t used = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + used, REPLY_TEXT_SIZE - used, format, args);
	va_end(args);
}

/* Appends bytes as a script would write them: runs of one byte as such, a long rest left out. */
static void
append_bytes(char *out, const uint8_t *bytes, size_t size)
{
	size_t i, run, shown = 0;

	if (bytes == NULL) {
		append(out, "(cut off)");
		return;
	}
	if (size == 0)
		append(out, "\"\"");
	for (i = 0; i < size; i += run) {
		if (shown++ == 16) {
			append(out, "...(%zu bytes)", size);
			return;
		}
		for (run = 1; i + run < size && bytes[i + run] == bytes[i]; run++)
			;
		append(out, i > 0 ? "+" : "");
		if (bytes[i] > ' ' && bytes[i] < 0x7f)
			append(out, "\"%c\"", bytes[i]);
		else
			append(out, "\"\\x%02x\"", bytes[i]);
		if (run > 1)
			append(out, "*%zu", run);
	}
}

static void
append_delta(char *out, const struct field *field)
{
	struct wire_reader r = wire_reader(field->bytes, field->size);
	struct delta_piece piece;
	struct delta delta;
	int more;

	append(out, " delta{");
	delta_begin(&delta, &r, UINT32_MAX);
	while ((more = delta_next(&delta, &piece)) > 0) {
		append(out, " %u:", piece.offset);
		append_bytes(out, piece.bytes, piece.length);
	}
	append(out, more == 0 ? " }" : " malformed}");
}

static void
append_sealed_delta(char *out, const struct field *field)
{
	struct wire_reader r = wire_reader(field->bytes, field->size);
	struct fields_sealed b;
	uint32_t left;

	append(out, " delta{key=");
	append_bytes(out, fields_sealed_begin(&r, &left), FIELDS_KEY_SIZE);
	while (fields_sealed_next(&r, &left, &b)) {
		append(out, " %u/%u@%llu:", b.block, b.slot, (unsigned long long)b.version);
		append_bytes(out, b.tag, FIELDS_TAG_SIZE);
	}
	append(out, wire_is_done(&r) ? "}" : " malformed}");
}

static void
append_fields(char *out, const struct fields *f)
{
	size_t i;

	for (i = 0; i < f->count; i++) {
		const struct field *field = &f->list[i];

		if (field->kind == FIELD_DELTA) {
			append_delta(out, field);
		} else if (field->kind == FIELD_SEALED_DELTA) {
			append_sealed_delta(out, field);
		} else if (field->kind == FIELD_BYTES) {
			append(out, " %s=", field->name);
			append_bytes(out, field->bytes, field->size);
		} else {
			append(out, " %s=%llu", field->name, (unsigned long long)field->number);
		}
	}
}

const char *
reply_describe(const struct reply *r, char out[REPLY_TEXT_SIZE])
{
	const char *name = status_name(r->status);
	struct fields f, record;

	out[0] = '\0';
	if (r->tag != 0)
		append(out, "[%u] ", r->tag);
	if (strcmp(name, "?") == 0)
		append(out, "status %u", r->status);
	else
		append(out, "%s", name);
	fields_get(r, &f);
	append_fields(out, &f);
	while (r->op == OP_INSPECT && r->status == 0 &&
	    fields_next_record(&f.rest, r->what, &record)) {
		append(out, " {");
		append_fields(out, &record);
		append(out, " }");
	}
	if (f.rest.failed)
		append(out, " (a body too short: %zu bytes)", r->size);
	else if (f.rest.left > 0) {
		append(out, " and then ");
		append_bytes(out, f.rest.next, f.rest.left);
	}
	return out;
}

uint32_t
reply_hello_version(const struct reply *r)
{
	struct fields f;

	if (r->op != OP_HELLO || r->status != 0)
		return 0;
	fields_get(r, &f);
	return f.rest.failed ? 0 : (uint32_t)f.list[0].number;
}

/* Compares the bytes of a field with those of a script. */
static bool
check_bytes(struct text *t, const char *what, const uint8_t *bytes, size_t size)
{
	struct buf expected = { 0 };
	size_t i;
	bool ok;

	ok = text_get_bytes(t, &expected);
	if (ok && buf_size(&expected) != size)
		ok = text_fail(t, "%s: %zu bytes, not %zu", what, size, buf_size(&expected));
	for (i = 0; ok && i < size; i++)
		if (bytes[i] != buf_data(&expected)[i])
			ok = text_fail(t, "%s: byte %zu is 0x%02x, not 0x%02x", what, i, bytes[i],
			    buf_data(&expected)[i]);
	buf_fini(&expected);
	return ok;
}

/* Checks the pieces from behind delta{ to behind }. */
static bool
check_delta(struct text *t, const struct field *field)
{
	struct wire_reader r = wire_reader(field->bytes, field->size);
	struct delta_piece piece;
	struct delta delta;
	uint64_t offset;
	char what[40];
	int more;

	delta_begin(&delta, &r, UINT32_MAX);
	while (!text_accept(t, "}")) {
		if (!text_get_number(t, &offset) || !text_expect(t, ":"))
			return false;
		more = delta_next(&delta, &piece);
		if (more < 0)
			return text_fail(t, "the delta is malformed");
		if (more == 0)
			return text_fail(t, "the delta has no piece at %llu",
			    (unsigned long long)offset);
		if (piece.offset != offset)
			return text_fail(t, "the delta's next piece is at %u, not at %llu",
			    piece.offset, (unsigned long long)offset);
		snprintf(what, sizeof what, "the delta's piece at %u", piece.offset);
		if (!check_bytes(t, what, piece.bytes, piece.length))
			return false;
	}
	if (delta_next(&delta, &piece) > 0)
		return text_fail(t, "the delta has one more piece, at %u", piece.offset);
	return wire_is_done(&r) || text_fail(t, "the delta does not end where it should");
}

/*
 * For a $name without a value: sets it to the field's. Otherwise consumes nothing and sets *done to
 * false.
 */
static bool
capture(struct text *t, const struct field *field, bool *done)
{
	struct text_value value = { .number = field->number };
	char name[TEXT_WORD_SIZE];
	struct text ahead = *t;
	const struct text_value *had;

	*done = false;
	if (!text_accept(&ahead, "$") || !text_get_name(&ahead, name))
		return true;
	if (strcmp(name, "_") == 0) {
		*done = true;
		t->next = ahead.next;
		return true;
	}
	if (field->kind == FIELD_BYTES) {
		if (field->size > TEXT_VALUE_SIZE)
			return text_fail(t, "%s is too long for a variable", field->name);
		value.size = field->size;
		memcpy(value.bytes, field->bytes, field->size);
	}
	had = text_find(t->variables, name);
	if (had != NULL && had->size == 0)
		return true;
	if (had != NULL && memcmp(had, &value, sizeof value) != 0)
		return text_fail(t, "%s is not the one in $%s", field->name, name);
	*done = true;
	t->next = ahead.next;
	return text_set(t, name, value);
}

/* Checks one block of smuf's delta against 0/1@7:"tag". */
static bool
check_sealed(struct text *t, struct wire_reader *r, uint32_t *left)
{
	uint64_t block, slot, version;
	struct fields_sealed b;
	char what[40];

	if (!text_get_number(t, &block) || !text_expect(t, "/") || !text_get_number(t, &slot) ||
	    !text_expect(t, "@") || !text_get_number(t, &version) || !text_expect(t, ":"))
		return false;
	if (!fields_sealed_next(r, left, &b))
		return text_fail(t, "the delta has no block %llu", (unsigned long long)block);
	if (b.block != block || b.slot != slot || b.version != version)
		return text_fail(t, "the delta's next block is %u/%u@%llu, not %llu/%llu@%llu",
		    b.block, b.slot, (unsigned long long)b.version, (unsigned long long)block,
		    (unsigned long long)slot, (unsigned long long)version);
	snprintf(what, sizeof what, "the tag of block %u", b.block);
	return check_bytes(t, what, b.tag, FIELDS_TAG_SIZE);
}

static bool check_field(struct text *t, struct field *field);

/* Checks smuf's delta from behind delta{ to behind }. */
static bool
check_sealed_delta(struct text *t, const struct field *field)
{
	struct wire_reader r = wire_reader(field->bytes, field->size);
	struct field key = { .name = "key", .kind = FIELD_BYTES, .size = FIELDS_KEY_SIZE };
	struct fields_sealed b;
	uint32_t left;

	key.bytes = fields_sealed_begin(&r, &left);
	if (key.bytes == NULL)
		return text_fail(t, "the delta is too short");
	if (text_accept(t, "key=") && !check_field(t, &key))
		return false;
	while (!text_accept(t, "}"))
		if (!check_sealed(t, &r, &left))
			return false;
	if (fields_sealed_next(&r, &left, &b))
		return text_fail(t, "the delta has one more block, %u", b.block);
	return wire_is_done(&r) || text_fail(t, "the delta does not end where it should");
}

static bool
check_field(struct text *t, struct field *field)
{
	uint64_t expected;
	bool done;

	field->seen = true;
	if (field->kind == FIELD_DELTA)
		return check_delta(t, field);
	if (field->kind == FIELD_SEALED_DELTA)
		return check_sealed_delta(t, field);
	if (!capture(t, field, &done))
		return false;
	if (done)
		return true;
	if (field->kind == FIELD_BYTES)
		return check_bytes(t, field->name, field->bytes, field->size);
	if (!text_get_number(t, &expected))
		return false;
	return field->number == expected ||
	    text_fail(t, "%s is %llu, not %llu", field->name, (unsigned long long)field->number,
		(unsigned long long)expected);
}

/* Checks one name=value, delta{...} or "bytes". */
static bool
check_one(struct text *t, struct fields *f)
{
	char name[TEXT_WORD_SIZE] = "bytes";
	struct field *field;

	if (*t->next != '"') {
		if (!text_get_word(t, name))
			return false;
		if (!text_expect(t, strcmp(name, "delta") == 0 ? "{" : "="))
			return false;
	}
	field = fields_find(f, name);
	if (field == NULL)
		return text_fail(t, "the reply has no %s", name);
	return check_field(t, field);
}

/* True when a record of INSPECT comes next. */
static bool
is_at_record(const struct text *t)
{
	return strncmp(t->next, "file{", 5) == 0 || strncmp(t->next, "session{", 8) == 0 ||
	    strncmp(t->next, "server{", 7) == 0 || strncmp(t->next, "reload{", 7) == 0;
}

/* Checks fields up to end; with `...` before it, not all of them. *is_open: there was `...`. */
static bool
check_fields(struct text *t, struct fields *f, const char *end, bool *is_open)
{
	size_t i;

	*is_open = false;
	while (!text_is_at_end(t) && (*end == '\0' || *t->next != *end) && !is_at_record(t)) {
		*is_open = text_accept(t, "...");
		if (*is_open)
			break;
		if (!check_one(t, f))
			return false;
	}
	for (i = 0; i < f->count && !*is_open; i++)
		if (!f->list[i].seen)
			return text_fail(t, "nothing is said of %s=%llu", f->list[i].name,
			    (unsigned long long)f->list[i].number);
	return true;
}

/* Finds the file whose name is next in the script; its name is checked then. */
static bool
find_file(struct text *t, struct wire_reader files, struct fields *f)
{
	struct buf name = { 0 };
	bool found = false;

	if (!text_get_bytes(t, &name)) {
		buf_fini(&name);
		return false;
	}
	while (!found && fields_next_record(&files, PROTOCOL_INSPECT_FILES, f))
		found = f->list[0].size == buf_size(&name) &&
		    memcmp(f->list[0].bytes, buf_data(&name), buf_size(&name)) == 0;
	if (!found)
		text_fail(t, "no file is listed as %.*s", (int)buf_size(&name),
		    (const char *)buf_data(&name));
	buf_fini(&name);
	f->list[0].seen = true;
	return found;
}

/*
 * Checks the record that is next in the script, if one is: with the file of that name, or with the
 * next session, the server or the reload of rest. all has all records. *done: there is no further
 * record.
 */
static bool
check_record(struct text *t, const struct wire_reader *all, struct wire_reader *rest, bool *done)
{
	struct fields f = { .count = 0 };
	bool is_open;

	*done = false;
	if (text_accept(t, "file{")) {
		if (!find_file(t, *all, &f))
			return false;
	} else if (text_accept(t, "session{")) {
		if (!fields_next_record(rest, PROTOCOL_INSPECT_SESSIONS, &f))
			return text_fail(t, "there is no further session");
	} else if (text_accept(t, "server{")) {
		if (!fields_next_record(rest, PROTOCOL_INSPECT_SERVER, &f))
			return text_fail(t, "there is no further server");
	} else if (text_accept(t, "reload{")) {
		if (!fields_next_record(rest, PROTOCOL_INSPECT_RELOAD, &f))
			return text_fail(t, "there is no further reload");
	} else {
		*done = true;
		return true;
	}
	return check_fields(t, &f, "}", &is_open) && text_expect(t, "}");
}

static bool
check_records(struct text *t, uint8_t what, struct fields *f, bool is_open)
{
	uint64_t told = f->list[1].number, counted = 0, expected = 0;
	struct wire_reader records = f->rest, rest = f->rest;
	struct fields record;
	bool done;

	while (fields_next_record(&records, what, &record))
		counted++;
	if (records.failed || counted != told)
		return text_fail(t, "there are %llu records, the count says %llu",
		    (unsigned long long)counted, (unsigned long long)told);
	for (;; expected++) {
		if (!check_record(t, &f->rest, &rest, &done))
			return false;
		if (done)
			break;
	}
	if (!text_accept(t, "...") && !is_open && expected != counted)
		return text_fail(t, "there are %llu records, not %llu", (unsigned long long)counted,
		    (unsigned long long)expected);
	f->rest = records;
	return true;
}

static bool
check_tag_and_status(struct text *t, const struct reply *r)
{
	char name[TEXT_WORD_SIZE];
	uint64_t tag = 0;

	if (text_accept(t, "[") && (!text_get_number(t, &tag) || !text_expect(t, "]")))
		return false;
	if (!text_get_word(t, name))
		return false;
	if (status_by_name(name) < 0)
		return text_fail(t, "no such status: %s", name);
	if (r->tag != tag)
		return text_fail(t, "the tag is %u, not %llu", r->tag, (unsigned long long)tag);
	if (r->status != status_by_name(name))
		return text_fail(t, "the status is %s (%u), not %s", status_name(r->status),
		    r->status, name);
	return true;
}

bool
reply_check(struct text *t, const struct reply *r)
{
	struct fields f;
	bool is_open;

	if (!check_tag_and_status(t, r))
		return false;
	fields_get(r, &f);
	if (f.rest.failed)
		return text_fail(t, "the reply's body is too short");
	if (!check_fields(t, &f, "", &is_open))
		return false;
	if (r->status == 0 && r->op == OP_INSPECT && !check_records(t, r->what, &f, is_open))
		return false;
	if (f.rest.left > 0)
		return text_fail(t, "the reply's body is %zu bytes too long", f.rest.left);
	return text_is_at_end(t) || text_fail(t, "not part of a reply: '%s'", t->next);
}
