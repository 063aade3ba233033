/*
 * outfile: writes a file whole, or not at all.
 */
#ifndef DEPLOY_OUTFILE_H
#define DEPLOY_OUTFILE_H

struct lines;

/*
 * Writes the lines, each with a newline, to path: into a new file beside it, which then takes its
 * name, so that nobody sees a part of them. With path NULL, to standard output. Returns 0 or a
 * negative errno, with a message; then the file that had the name still has it.
 */
int outfile_write(const char *path, const struct lines *l);

#endif
