/*
 * removal: the end of a memory file's host files.
 *
 * Files are removed one after the other, in tasks of the account that the memory file was charged
 * to; the charge stays until then. A file that is opened anew meanwhile has its old host files
 * removed first: small ones at once, a large one piece by piece by the session that opens it.
 */
#ifndef SMUF_REMOVAL_H
#define SMUF_REMOVAL_H

struct memfile;
struct removal_tree;
struct storefile;

/* f ends, whose data s is: removes its host files, and then frees s. */
void removal_begin(struct storefile *s, struct memfile *f);

/*
 * Removes some of the host files of that name now, if they wait for it. Returns 0 when there are
 * none left, or -EINPROGRESS.
 */
int removal_continue(struct removal_tree *t, const char *name);

#endif
