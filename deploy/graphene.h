/*
 * graphene: the manifest of a package for Graphene with Phoenix, as the original's maker of
 * manifests writes it.
 *
 * The library OS has the server's side of MOUNT and CAFILE in it. Graphene has no encrypted files:
 * the host can read what KEYFILE names.
 */
#ifndef DEPLOY_GRAPHENE_H
#define DEPLOY_GRAPHENE_H

struct lines;
struct package;

/*
 * Adds the lines of the manifest to out; root is Graphene's directory. Reads the program and its
 * libraries, certificates, keys of time servers, and the directories of read-only mounts. Returns 0
 * or a negative errno, with a message.
 */
int graphene_make(struct lines *out, const struct package *p, const char *root);

#endif
