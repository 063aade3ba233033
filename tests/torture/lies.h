/*
 * lies: what a host does to the files of a memory file: it flips bits, puts older bytes back,
 * exchanges pages, cuts files short, removes them.
 */
#ifndef TESTS_TORTURE_LIES_H
#define TESTS_TORTURE_LIES_H

#include "tests/torture/choice.h"

/*
 * Tells one lie about a file in the directory whose name begins with no dot, if there is one. cuts:
 * it may cut files short.
 */
void lies_tell(const char *directory, bool cuts, struct choice *c);

#endif
