#include "deploy/package.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"

enum {
	SIZE_MIB_MOST = 1024 * 1024,
	THREADS_MOST = 4096,
	RATE_ONE = 10000, /* all calls ask the time server */
	RATE_DIGITS = 4
};

static const char scheme[] = "file:";

/* The state of reading. */
struct reader {
	struct package *p;
	const struct premanifest_line *line;
	struct premanifest_fault *fault;
};

static int __attribute__((format(printf, 3, 4)))
refuse(const struct reader *r, size_t word, const char *format, ...)
{
	va_list args;

	r->fault->word = word;
	va_start(args, format);
	(void)vsnprintf(r->fault->reason, sizeof r->fault->reason, format, args);
	va_end(args);
	return -EINVAL;
}

static int
refuse_memory(const struct reader *r)
{
	(void)strlcpy(r->fault->reason, error_string(-ENOMEM), sizeof r->fault->reason);
	return -ENOMEM;
}

/* Copies that word of the line, for which there is no other line. */
static int
set_word(const struct reader *r, struct word *w, size_t number)
{
	if (w->text != NULL)
		return refuse(r, 0, "%s stands in line %u already", r->line->words[0], w->line);
	return word_copy(w, r->p->file, r->line, number) == 0 ? 0 : refuse_memory(r);
}

/* Reads a number from 1 to most. */
static int
read_number(const struct reader *r, unsigned *out, size_t word, unsigned most)
{
	const char *wrong;
	long long n = strtonum(r->line->words[word], 1, most, &wrong);

	if (wrong != NULL ||
	    r->line->words[word][strspn(r->line->words[word], "0123456789")] != '\0')
		return refuse(r, word, "%s needs a number from 1 to %u", r->line->words[0], most);
	*out = (unsigned)n;
	return 0;
}

/* Refuses a word that is no file: URI. */
static int
check_uri(const struct reader *r, size_t word)
{
	const char *uri = r->line->words[word];

	if (strncmp(uri, scheme, strlen(scheme)) == 0 && uri[strlen(scheme)] != '\0')
		return 0;
	return refuse(r, word, "%s needs file: and a path", r->line->words[0]);
}

static int
read_ca_file(const struct reader *r)
{
	return set_word(r, &r->p->ca_file, 1);
}

static int
read_cert_file(const struct reader *r)
{
	return set_word(r, &r->p->cert_file, 1);
}

static int
read_conf_file(const struct reader *r)
{
	return set_word(r, &r->p->conf_file, 1);
}

static int
read_crl_file(const struct reader *r)
{
	return set_word(r, &r->p->crl_file, 1);
}

static int
read_key_file(const struct reader *r)
{
	return set_word(r, &r->p->key_file, 1);
}

static int
read_debug(const struct reader *r)
{
	const char *word = r->line->words[1];

	r->p->is_debugged = strcmp(word, "on") == 0;
	if (!r->p->is_debugged && strcmp(word, "off") != 0)
		return refuse(r, 1, "DEBUG is on or off");
	return set_word(r, &r->p->debug, 1);
}

static int
read_size(const struct reader *r)
{
	int error = read_number(r, &r->p->size_mib, 1, SIZE_MIB_MOST);

	return error == 0 ? set_word(r, &r->p->size, 1) : error;
}

static int
read_program(const struct reader *r)
{
	int error = check_uri(r, 1);

	return error == 0 ? set_word(r, &r->p->program, 1) : error;
}

static int
read_module(const struct reader *r)
{
	struct module *m;
	int error = check_uri(r, 1);

	if (error != 0)
		return error;
	m = calloc(1, sizeof *m);
	if (m == NULL)
		return refuse_memory(r);
	TAILQ_INSERT_TAIL(&r->p->modules, m, link);
	return set_word(r, &m->uri, 1);
}

static int
read_mount(const struct reader *r)
{
	struct mountline *m, *other;
	int error = mountline_create(&m, r->p->file, r->line, r->fault);

	if (error != 0)
		return error;
	TAILQ_FOREACH(other, &r->p->mounts, link)
		if (mountline_collides(m, other)) {
			mountline_destroy(m);
			return refuse(r, 2, "line %u has that mount point", other->uri.line);
		}
	TAILQ_INSERT_TAIL(&r->p->mounts, m, link);
	return 0;
}

static int
read_threads(const struct reader *r)
{
	int error = read_number(r, &r->p->thread_count, 1, THREADS_MOST);

	if (error == 0 && r->line->count > 2 && strcmp(r->line->words[2], "exitless") != 0)
		error = refuse(r, 2, "only exitless may follow the number of THREADS");
	if (error == 0)
		error = set_word(r, &r->p->threads, 1);
	if (error == 0 && r->line->count > 2)
		error = set_word(r, &r->p->exitless, 2);
	return error;
}

/* A decimal number from 0 to 1; of its fraction the first digits count. */
static int
parse_rate(unsigned *out, const char *text)
{
	static const char digits[] = "0123456789";
	size_t whole = strspn(text, digits), fraction = 0, i;
	const char *point = text + whole;
	unsigned rate;

	if (*point == '.')
		fraction = strspn(point + 1, digits);
	if (whole + fraction == 0 || point[*point == '.' ? fraction + 1 : 0] != '\0')
		return -EINVAL;
	rate = (unsigned)strtoul(text, NULL, 10);
	if (whole > 1 || rate > 1)
		return -ERANGE;
	for (i = 1; i <= RATE_DIGITS; i++)
		rate = rate * 10 + (i <= fraction ? (unsigned)(point[i] - '0') : 0);
	if (rate > RATE_ONE ||
	    (rate == RATE_ONE && point[0] == '.' && strtoul(point + 1, NULL, 10) != 0))
		return -ERANGE;
	*out = rate;
	return 0;
}

static int
read_server(const struct reader *r)
{
	static const char udp[] = "udp:";
	int error;

	if (strncmp(r->line->words[1], udp, strlen(udp)) != 0 ||
	    r->line->words[1][strlen(udp)] == '\0')
		return refuse(r, 1, "TIMESERVER needs udp: and an address");
	if (parse_rate(&r->p->rate, r->line->words[3]) != 0)
		return refuse(r, 3, "the rate of a TIMESERVER is a number from 0 to 1");
	error = set_word(r, &r->p->server, 1);
	if (error == 0)
		error = set_word(r, &r->p->server_key, 2);
	if (error == 0)
		error = set_word(r, &r->p->server_rate, 3);
	return error;
}

static const struct directive {
	const char *name;
	size_t words_least, words_most; /* with the name */
	int (*read)(const struct reader *r);
	const char *usage;
} directives[] = {
	{ "CAFILE", 2, 2, read_ca_file, "CAFILE FILE" },
	{ "CERTFILE", 2, 2, read_cert_file, "CERTFILE FILE" },
	{ "CONFFILE", 2, 2, read_conf_file, "CONFFILE FILE" },
	{ "CRLFILE", 2, 2, read_crl_file, "CRLFILE FILE" },
	{ "DEBUG", 2, 2, read_debug, "DEBUG on|off" },
	{ "ENCLAVE_SIZE", 2, 2, read_size, "ENCLAVE_SIZE MIB" },
	{ "EXEC", 2, 2, read_program, "EXEC file:PROGRAM" },
	{ "KEYFILE", 2, 2, read_key_file, "KEYFILE FILE" },
	{ "MODULE", 2, 2, read_module, "MODULE file:LIBRARY" },
	/* mountline.h counts. */
	{ "MOUNT", 1, PREMANIFEST_WORDS_MOST, read_mount, "" },
	{ "THREADS", 2, 3, read_threads, "THREADS COUNT [exitless]" },
	{ "TIMESERVER", 4, 4, read_server, "TIMESERVER udp:HOST:PORT FILE RATE" },
};
enum { DIRECTIVES = sizeof directives / sizeof directives[0] };

static int
read_line(void *arg, const struct premanifest_line *line, struct premanifest_fault *fault)
{
	const struct reader r = { .p = arg, .line = line, .fault = fault };
	const struct directive *d = directives;

	while (d < directives + DIRECTIVES && strcmp(d->name, line->words[0]) != 0)
		d++;
	if (d == directives + DIRECTIVES)
		return refuse(&r, 0, "%.200s: there is no such directive", line->words[0]);
	if (line->count < d->words_least)
		return refuse(&r, 0, "something is missing: %s", d->usage);
	if (line->count > d->words_most)
		return refuse(&r, d->words_most, "there is more than %s", d->usage);
	return d->read(&r);
}

/* Checks what the lines must fulfil together. */
static int
check_whole(const struct package *p)
{
	if (p->cert_file.text != NULL && p->key_file.text == NULL)
		return word_fail(&p->cert_file, -EINVAL, "CERTFILE needs a KEYFILE");
	if (p->key_file.text != NULL && p->cert_file.text == NULL)
		return word_fail(&p->key_file, -EINVAL, "KEYFILE needs a CERTFILE");
	if (p->cert_file.text != NULL && p->ca_file.text == NULL)
		return word_fail(&p->cert_file, -EINVAL, "CERTFILE needs a CAFILE");
	if (p->crl_file.text != NULL && p->ca_file.text == NULL)
		return word_fail(&p->crl_file, -EINVAL, "CRLFILE needs a CAFILE");
	return 0;
}

static void
init(struct package *p, const char *file)
{
	*p = (struct package){ .file = file };
	TAILQ_INIT(&p->mounts);
	TAILQ_INIT(&p->modules);
}

/* After the lines: error is their result. */
static int
end(const struct package *p, int error, const char *reason)
{
	return error == 0 ? check_whole(p) : error_message(error, "%s", reason);
}

int
package_parse(struct package *p, const char *file, const void *bytes, size_t size)
{
	char reason[PREMANIFEST_REASON_SIZE] = "";

	init(p, file);
	return end(p, premanifest_parse(file, bytes, size, read_line, p, reason), reason);
}

int
package_load(struct package *p, const char *path)
{
	char reason[PREMANIFEST_REASON_SIZE] = "";

	init(p, path);
	return end(p, premanifest_load(path, read_line, p, reason), reason);
}

void
package_fini(struct package *p)
{
	struct word *const words[] = { &p->program, &p->ca_file, &p->cert_file, &p->crl_file,
		&p->key_file, &p->conf_file, &p->debug, &p->size, &p->threads, &p->exitless,
		&p->server, &p->server_key, &p->server_rate };
	struct mountline *mount;
	struct module *module;
	size_t i;

	for (i = 0; i < sizeof words / sizeof words[0]; i++)
		word_fini(words[i]);
	while ((mount = TAILQ_FIRST(&p->mounts)) != NULL) {
		TAILQ_REMOVE(&p->mounts, mount, link);
		mountline_destroy(mount);
	}
	while ((module = TAILQ_FIRST(&p->modules)) != NULL) {
		TAILQ_REMOVE(&p->modules, module, link);
		word_fini(&module->uri);
		free(module);
	}
}

const char *
package_path(const struct word *uri)
{
	return uri->text + strlen(scheme);
}
