#include "common/crypto/sslerror.h"

#include <openssl/err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"

struct entry {
	unsigned long code;
	int line;
	char *file, *function, *data; /* copies; NULL without memory */
};

struct sslerror_list {
	size_t count;
	struct entry entries[ERR_NUM_ERRORS]; /* the oldest first */
};

/* Takes the oldest error. Returns false when there is none. */
static bool
take(struct entry *e)
{
	const char *file, *function, *data;
	int flags;

	e->code = ERR_get_error_all(&file, &e->line, &function, &data, &flags);
	if (e->code == 0)
		return false;
	e->file = strdup(file);
	e->function = strdup(function);
	e->data = (flags & ERR_TXT_STRING) != 0 ? strdup(data) : NULL;
	return true;
}

static void
put_back(struct entry *e)
{
	ERR_new();
	ERR_set_debug(e->file, e->line, e->function);
	ERR_set_error(ERR_GET_LIB(e->code), ERR_GET_REASON(e->code), e->data != NULL ? "%s" : NULL,
	    e->data);
	free(e->file);
	free(e->function);
	free(e->data);
}

struct sslerror_list *
sslerror_hide(void)
{
	struct sslerror_list *l;

	if (ERR_peek_error() == 0)
		return NULL;
	l = calloc(1, sizeof *l);
	while (l != NULL && l->count < ERR_NUM_ERRORS && take(&l->entries[l->count]))
		l->count++;
	ERR_clear_error();
	return l;
}

void
sslerror_restore(struct sslerror_list *l)
{
	size_t i;

	if (ERR_peek_error() != 0)
		ERR_clear_error();
	for (i = 0; l != NULL && i < l->count; i++)
		put_back(&l->entries[i]);
	free(l);
}

const char *
sslerror_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(e);

	if (text != NULL)
		return text;
	return ERR_SYSTEM_ERROR(e) ? error_string(-(int)ERR_GET_REASON(e)) :
				     "OpenSSL gives no reason";
}
