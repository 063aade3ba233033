/*
 * handlers_v1: LOCK and UNLOCK of version 1 (PROTOCOL 4): whole segments, and the holder is the
 * session.
 *
 * handlers.h says what a handler returns.
 */
#ifndef COMMON_SERVER_CORE_HANDLERS_V1_H
#define COMMON_SERVER_CORE_HANDLERS_V1_H

struct request;
struct session;

int handlers_v1_lock(struct session *s, struct request *q);
int handlers_v1_unlock(struct session *s, struct request *q);

#endif
