/*
 * verdict: the first thing that is wrong in a case, as a sentence.
 *
 * The modules of this folder run in a test and in a fuzz target, so they do not fail by themselves:
 * they record what they expected and what came, and their callers stop when is_bad is set.
 */
#ifndef TESTS_FAULTS_VERDICT_H
#define TESTS_FAULTS_VERDICT_H

#include <stdbool.h>

struct verdict {
	bool is_bad;
	char text[512];
};

/* Records the sentence, unless another one came before. */
void verdict_say(struct verdict *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
