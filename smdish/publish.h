/*
 * publish: publications of smdish's segments, in pieces (store.h).
 *
 * A publication is checked whole, then its memory is committed, then its bytes are copied, and its
 * blocks get their version in one last step. Only the first two can fail, and they change nothing
 * that others see. The bytes are copied in place: nobody reads the segment meanwhile, since the
 * publisher's lock ends with the last step. The state between two calls is in the publication and
 * in the segment, not in the session: it goes on when the session ends.
 */
#ifndef SMDISH_PUBLISH_H
#define SMDISH_PUBLISH_H

struct budget;
struct memfile;
struct store_publication;

/* See release and unlock of struct store_ops. */
int publish_delta(struct memfile *f, struct store_publication *p, const struct budget *b);
int publish_whole(struct memfile *f, struct store_publication *p, const struct budget *b);

#endif
