/*
 * toml: strings of a TOML file that is a Jinja template as well.
 */
#ifndef DEPLOY_TOML_H
#define DEPLOY_TOML_H

#include <stdbool.h>

struct lines;

/*
 * Adds text to texts as a basic string with its quotes, and returns that; "" when there is no
 * memory. A { becomes \u007B, so that nothing in text begins an expression of the template.
 */
char *toml_quote(struct lines *texts, const char *text);

/* True if text is UTF-8, as all strings must be. */
bool toml_is_utf8(const char *text);

/* True if text can be a key without quotes: letters, digits, - and _, and not empty. */
bool toml_is_key(const char *text);

#endif
