#include "common/server/optionset.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/size.h"
#include "common/server/operators.h"
#include "common/server/options.h"
#include "common/server/optiontable.h"
#include "common/wire/addr.h"
#include "common/wire/protocol.h"

/* One option, while it is set. */
struct setting {
	const char *const *words;
	const char *spelled;
};

/* A number from least to most. */
static int
set_u64(const struct setting *s, uint64_t least, uint64_t most, uint64_t *out)
{
	int error = size_parse(s->words[0], least, most, out);

	if (error == 0)
		return 0;
	return error_message(-EINVAL, "%s %s: expected %s from %llu to %llu", s->spelled,
	    s->words[0], error == -ERANGE ? "a number" : "a number, optionally with K, M or G,",
	    (unsigned long long)least, (unsigned long long)most);
}

static int
set_u32(const struct setting *s, uint32_t least, uint32_t most, uint32_t *out)
{
	uint64_t n;
	int error = set_u64(s, least, most, &n);

	if (error == 0)
		*out = (uint32_t)n;
	return error;
}

static int
set_number(struct options *o, const struct setting *s, int option)
{
	switch (option) {
	case 'B':
		return set_u64(s, SIZE_MIB, UINT64_MAX >> 1, &o->config.memory_limit);
	case 'b':
		return set_u32(s, 0, 1000000, &o->spin_us);
	case 'c':
		return set_u32(s, 1, 1000000, &o->config.session_limit);
	case 'm':
		return set_u64(s, SIZE_BLOCK, UINT64_MAX >> 1, &o->config.total_limit);
	case 's':
		return set_u64(s, 1, PROTOCOL_SEGMENT_MOST, &o->config.segment_limit);
	default:
		assert(option == 't');
		return set_u32(s, 1, 24 * 3600 * 1000, &o->config.lease_ms);
	}
}

/* Three or four octal digits, of which the first of four is 0. */
static int
set_mode(struct options *o, const struct setting *s)
{
	const char *digits = s->words[0];
	mode_t mode = 0;

	digits += strlen(digits) == 4 && *digits == '0';
	if (strlen(digits) != 3 || strspn(digits, "01234567") != 3)
		return error_message(-EINVAL, "%s %s: expected an octal mode, such as 660",
		    s->spelled, s->words[0]);
	for (; *digits != '\0'; digits++)
		mode = mode << 3 | (mode_t)(*digits - '0');
	o->socket_mode = mode;
	return 0;
}

static int
set_operators(struct options *o, const struct setting *s)
{
	const char *fault = operators_fault(s->words[0]);

	if (o->operators != NULL)
		return error_message(-EINVAL, "%s is there twice", s->spelled);
	if (fault != NULL)
		return error_message(-EINVAL, "%s %s: %s", s->spelled, s->words[0], fault);
	o->operators = s->words[0];
	return 0;
}

/* An address with a prefix, or an option. */
static bool
is_no_file(const char *word)
{
	struct addr a;

	return *word == '-' ||
	    (addr_parse(&a, word, 0) == 0 &&
		(a.kind != ADDR_UNIX || strncmp(word, "unix:", 5) == 0));
}

static int
set_files(struct options *o, const struct setting *s)
{
	size_t i;

	for (i = 0; i < 3; i++)
		if (is_no_file(s->words[i]))
			return error_message(-EINVAL,
			    "%s takes three files, CA CERT KEY: %s is none", s->spelled,
			    s->words[i]);
	o->ca_file = s->words[0];
	o->cert_file = s->words[1];
	o->key_file = s->words[2];
	return 0;
}

int
optionset_apply(struct options *o, const struct optiontable_row *row, const char *const words[],
    const char *spelled)
{
	const struct setting s = { .words = words, .spelled = spelled };

	switch (row->value) {
	case 'a':
		o->is_abstract = true;
		return 0;
	case 'C':
		o->crl_file = words[0];
		return 0;
	case 'd':
		o->daemonise = true;
		return 0;
	case 'g':
		o->socket_group = words[0];
		return 0;
	case 'l':
		o->log_file = words[0];
		return 0;
	case 'M':
		return set_mode(o, &s);
	case 'n':
		o->anonymous = true;
		return 0;
	case 'p':
		o->pid_file = words[0];
		return 0;
	case 'r':
		o->memdir = words[0];
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'Z':
		return set_files(o, &s);
	case OPTIONTABLE_OPERATORS:
		return set_operators(o, &s);
	default:
		return set_number(o, &s, row->value);
	}
}
