/*
 * closing: the end of descriptors, of one or of all, with their claims and places.
 *
 * The end of one claim may grant others, of the same session, too.
 */
#ifndef COMMON_SERVER_CORE_CLOSING_H
#define COMMON_SERVER_CORE_CLOSING_H

#include <stdbool.h>

struct desc;
struct session;

/* Drops the claims of all descriptors of s but that of d; d may be NULL. */
void closing_drop_others(struct session *s, const struct desc *d);

/* Closes d, dropping its claim; answer: a pending ACQUIRE is answered with ECANCELED. */
void closing_close(struct desc *d, bool answer);

/* The same for every descriptor of s; its table is then empty and usable. */
void closing_close_table(struct session *s, bool answer);

#endif
