/*
 * outlet: a place to which a log is written, of each kind that can be full: a pipe, a socket, a
 * terminal. The test reads one end, or does not; the writer's end is somebody's standard error.
 */
#ifndef TESTS_STRESS_OUTLET_H
#define TESTS_STRESS_OUTLET_H

/* Both descriptors are close-on-exec, and -1 when they are closed. */
struct outlet {
	int reader;
	int writer;
};

/* Make one, or fail the test. */
void outlet_make_pipe(struct outlet *o);
void outlet_make_socket(struct outlet *o);

/* Takes part of a line when it is nearly full. */
void outlet_make_terminal(struct outlet *o);

void outlet_close(struct outlet *o);

#endif
