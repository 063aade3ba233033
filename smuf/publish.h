/*
 * publish: publications of smuf's segments, in pieces (store.h).
 *
 * A release names blocks, each with its new slot and tag. All of it is checked first; each block is
 * marked, since none may come twice. Then slots and tags are stored, and in one last step the
 * blocks get their version. Only the check can fail. The state between two calls is in the
 * publication and in the blocks, not in the session: it goes on when the session ends.
 */
#ifndef SMUF_PUBLISH_H
#define SMUF_PUBLISH_H

struct budget;
struct memfile;
struct store_publication;

/* See release of struct store_ops. */
int publish_blocks(struct memfile *f, struct store_publication *p, const struct budget *b);

#endif
