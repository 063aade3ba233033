/*
 * handlers_v2: the operations of version 2 (PROTOCOL 5): a client waits in the server for a grant,
 * and grants and releases carry deltas.
 *
 * handlers.h says what a handler returns. handlers_v2_release() is the exception: once a request
 * has named the grant that its descriptor holds, that grant has ended when the result is an error.
 */
#ifndef COMMON_SERVER_CORE_HANDLERS_V2_H
#define COMMON_SERVER_CORE_HANDLERS_V2_H

struct request;
struct session;

int handlers_v2_hello(struct session *s, struct request *q);
int handlers_v2_acquire(struct session *s, struct request *q);
int handlers_v2_release(struct session *s, struct request *q);
int handlers_v2_cancel(struct session *s, struct request *q);
int handlers_v2_stat(struct session *s, struct request *q);
int handlers_v2_process(struct session *s, struct request *q);

#endif
