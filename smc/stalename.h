/*
 * stalename: names of files that are gone, where a library OS remembers them.
 *
 * A library OS may remember a name that it has seen, with size and mode, after a process outside
 * has removed the file. Opening the name then asks the host, and there is no such file; creating it
 * with O_EXCL does not ask, and there is one. The library OS forgets the name when it removes the
 * file itself. So these functions let it make the file, without O_EXCL, and remove it. Call them
 * only after both answers, and only in a system without kernel locks: elsewhere the two answers
 * mean that another process made the file in between.
 */
#ifndef SMC_STALENAME_H
#define SMC_STALENAME_H

/* Forgets the name of a segment file. Caller holds the recovery lock. */
void stalename_forget(int directory, const char *name);

/*
 * Forgets the name of a lock file. If another process makes one meanwhile, that one stays; a
 * process that opens the one made here finds it dead, and opens again.
 */
void stalename_forget_lockfile(int directory, const char *name);

#endif
