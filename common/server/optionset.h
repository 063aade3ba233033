/*
 * optionset: sets one option of a daemon from its words, for the command line (options.h) and for
 * the configuration file (optionfile.h). Sizes and numbers are checked against their limits here.
 */
#ifndef COMMON_SERVER_OPTIONSET_H
#define COMMON_SERVER_OPTIONSET_H

struct options;
struct optiontable_row;

/*
 * Sets the option of the row, which is not --help, --version or -f, to its words: as many as it has
 * arguments. They outlive o. spelled is the option in messages, "-c" or "session-limit". Returns 0,
 * or -EINVAL with a message (error.h).
 */
int optionset_apply(struct options *o, const struct optiontable_row *row, const char *const words[],
    const char *spelled);

#endif
