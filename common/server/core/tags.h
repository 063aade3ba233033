/*
 * tags: the claims of a session by the tags of their ACQUIREs; a red-black tree (libbsd).
 *
 * A tag names a claim from its ACQUIRE until the claim has ended: while it waits, while its reply
 * is not yet written, and while it is held. It names one claim at most: an ACQUIRE with the tag of
 * a held claim takes the tag over (PROTOCOL 5.4).
 */
#ifndef COMMON_SERVER_CORE_TAGS_H
#define COMMON_SERVER_CORE_TAGS_H

#include <stdint.h>

#include "common/server/core/fdtable.h"

RB_HEAD(tags, desc);

/* No tag names a claim. */
void tags_init(struct tags *t);

/* The descriptor whose claim has that tag, or NULL. A number above UINT16_MAX is no tag. */
struct desc *tags_find(struct tags *t, uint32_t tag);

/* Lets tag, which names no claim, name that of d, which has no tag. */
void tags_add(struct tags *t, struct desc *d, uint16_t tag);

/* Lets no tag name the claim of d; does nothing when none does. */
void tags_remove(struct tags *t, struct desc *d);

#endif
