/*
 * early: what came of the constructor of a library that a program is linked with. It runs before
 * main(), and before the constructors of preloaded libraries.
 */
#ifndef TESTS_PRELOAD_EARLY_H
#define TESTS_PRELOAD_EARLY_H

/* Returns how many calls failed. */
int early_failures(void);

/* True when the threads have counted exactly under the lock. */
int early_is_counted(void);

#endif
