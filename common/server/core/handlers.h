/*
 * handlers: the operations that both versions have (PROTOCOL 2 and PROTOCOL 6), and OPEN2, the OPEN
 * of version 2.
 *
 * A handler reads its request and checks it in the order of PROTOCOL 3.2. Then it writes its reply,
 * or has it written later, and returns 0; or it returns a negative errno, with which the dispatcher
 * replies.
 */
#ifndef COMMON_SERVER_CORE_HANDLERS_H
#define COMMON_SERVER_CORE_HANDLERS_H

struct request;
struct session;

int handlers_new_fdtable(struct session *s, struct request *q);
int handlers_fork(struct session *s, struct request *q);
int handlers_child_attach(struct session *s, struct request *q);
int handlers_open(struct session *s, struct request *q);
int handlers_open2(struct session *s, struct request *q);
int handlers_close(struct session *s, struct request *q);
int handlers_mmap(struct session *s, struct request *q);

#endif
