/*
 * handlers_inspect: INSPECT, which shows operators the server, its memory files and its sessions,
 * and has the driver load its files again (PROTOCOL 5.6).
 *
 * All that it shows comes from counters; the work of a page is bounded by the page. handlers.h says
 * what a handler returns. The dispatcher lets only operators come here.
 */
#ifndef COMMON_SERVER_CORE_HANDLERS_INSPECT_H
#define COMMON_SERVER_CORE_HANDLERS_INSPECT_H

struct request;
struct session;

int handlers_inspect(struct session *s, struct request *q);

#endif
