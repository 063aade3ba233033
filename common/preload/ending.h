/*
 * ending: the end of the program's locks when it exits or executes another program: both publish
 * the changes made under them. A process that is killed publishes nothing.
 *
 * OpenSSL ends with atexit(3), before any destructor. ending_arm() has the client library end a
 * moment earlier, and is called when OpenSSL has begun. From then on the descriptors of memory
 * files lead nowhere: handlers of atexit(3) that the program installed before its first memory file
 * get EBADF for a lock. With quick_exit(3), which ends nothing else, it is the same.
 */
#ifndef COMMON_PRELOAD_ENDING_H
#define COMMON_PRELOAD_ENDING_H

/* A memory file was opened. */
void ending_arm(void);

/* This process ends or becomes another program; does nothing where the tables are not its own. */
void ending_publish(void);

#endif
