#include "common/server/optionfile.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/premanifest.h"
#include "common/server/options.h"
#include "common/server/optionset.h"
#include "common/server/optiontable.h"
#include "common/wire/addr.h"

/* The state of reading. */
struct reader {
	struct options *o;
	struct options_words *addresses;
	const struct options_program *program;
	uint32_t set;        /* by the command line */
	uint32_t seen;       /* in the file */
	struct options sink; /* of the file's options that the command line has set */
};

static int __attribute__((format(printf, 3, 4)))
refuse(struct premanifest_fault *fault, size_t word, const char *format, ...)
{
	va_list args;

	fault->word = word;
	va_start(args, format);
	(void)vsnprintf(fault->reason, sizeof fault->reason, format, args);
	va_end(args);
	return -EINVAL;
}

/* Keeps a copy of the word, behind the directory of the file if it is a relative path. */
static const char *
keep(struct reader *r, const char *word, bool is_path)
{
	const char *base = is_path && *word != '/' ? r->addresses->base : "";
	char *copy;

	assert(r->o->text_count < OPTIONS_TEXTS_MOST);
	if (asprintf(&copy, "%s%s", base, word) < 0)
		return NULL;
	r->o->texts[r->o->text_count++] = copy;
	return copy;
}

static int
add_address(struct reader *r, const struct premanifest_line *line, struct premanifest_fault *fault)
{
	struct options_words *list = r->addresses;
	struct addr a;

	if (line->count != 2)
		return refuse(fault, line->count > 2 ? 2 : 0, "address takes one ADDRESS");
	if (list->count == OPTIONS_ADDRESS_MOST)
		return refuse(fault, 0, "more than %d addresses", OPTIONS_ADDRESS_MOST);
	if (addr_parse(&a, line->words[1], ADDR_RELATIVE) != 0)
		return premanifest_refuse_told(fault, 1, -EINVAL);
	list->list[list->count] = keep(r, line->words[1], false);
	if (list->list[list->count] == NULL)
		return premanifest_refuse(fault, 1, -ENOMEM, "no memory");
	list->count++;
	return 0;
}

/* Finds the option that the line names and may name here. NULL: the fault is set. */
static const struct optiontable_row *
find_row(const struct reader *r, const struct premanifest_line *line,
    struct premanifest_fault *fault)
{
	const char *name = line->words[0];
	const struct optiontable_row *row = optiontable_find_name(r->program, name);
	size_t count;

	if (row == NULL) {
		refuse(fault, 0, "%.100s: there is no such option", name);
		return NULL;
	}
	count = optiontable_argument_count(row);
	if (row->kind == OPTIONTABLE_COMMAND_LINE)
		refuse(fault, 0, "%s is for the command line only", name);
	else if (r->seen & optiontable_bit(row))
		refuse(fault, 0, "%s is there twice", name);
	else if (line->count - 1 == count)
		return row;
	else if (count == 0)
		refuse(fault, 1, "%s takes no value", name);
	else
		refuse(fault, line->count - 1 > count ? count + 1 : 0, "expected: %s %s", name,
		    row->argument);
	return NULL;
}

static int
set_option(struct reader *r, const struct optiontable_row *row, const struct premanifest_line *line,
    struct premanifest_fault *fault)
{
	const char *words[OPTIONTABLE_ARGUMENTS_MOST];
	struct options *o = r->set & optiontable_bit(row) ? &r->sink : r->o;
	size_t i;

	for (i = 1; i < line->count; i++) {
		words[i - 1] = keep(r, line->words[i], row->kind == OPTIONTABLE_PATH);
		if (words[i - 1] == NULL)
			return premanifest_refuse(fault, i, -ENOMEM, "no memory");
	}
	if (optionset_apply(o, row, words, row->name) != 0)
		return premanifest_refuse_told(fault, line->count > 1, -EINVAL);
	r->seen |= optiontable_bit(row);
	return 0;
}

static int
read_line(void *arg, const struct premanifest_line *line, struct premanifest_fault *fault)
{
	struct reader *r = arg;
	const struct optiontable_row *row;

	if (line->count > 1 && strcmp(line->words[1], "=") == 0)
		return refuse(fault, 1, "there is no = between a name and its value");
	if (strcmp(line->words[0], "address") == 0)
		return add_address(r, line, fault);
	row = find_row(r, line, fault);
	return row != NULL ? set_option(r, row, line, fault) : -EINVAL;
}

/* Sets the directory of the file, with its slash; "" for one in the working directory. */
static int
set_base(struct options *o, struct options_words *addresses, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *base = strndup(path, slash == NULL ? 0 : (size_t)(slash + 1 - path));

	if (base == NULL)
		return -ENOMEM;
	addresses->base = o->texts[o->text_count++] = base;
	return 0;
}

int
optionfile_read(struct options *o, uint32_t *set, struct options_words *addresses,
    const struct options_program *program, const char *path)
{
	struct reader r = { .o = o, .addresses = addresses, .program = program, .set = *set };
	char reason[PREMANIFEST_REASON_SIZE] = "";
	int error = set_base(o, addresses, path);

	if (error != 0)
		return error_message(error, "%s: %s", path, error_string(error));
	error = premanifest_load(path, read_line, &r, reason);
	*set |= r.seen;
	return error == 0 ? 0 : error_message(error, "%s", reason);
}
