/*
 * reply: replies into the output of a session, and the end of a session that breaks the rules.
 *
 * Nothing here sends or closes anything. A session with a new reply, or that is over, is marked
 * ready; the driver gets it from server_next_ready().
 */
#ifndef COMMON_SERVER_CORE_REPLY_H
#define COMMON_SERVER_CORE_REPLY_H

#include <stddef.h>
#include <stdint.h>

struct session;
struct wire_writer;

/*
 * Appends a reply of status 0 to the output. The caller writes its body, exactly body_size bytes,
 * through *w before the next call on s. Returns 0 or -ENOMEM (the output is as it was).
 */
int reply_begin(struct session *s, uint16_t tag, size_t body_size, struct wire_writer *w);

/*
 * Appends a reply of status 0 whose body is head and rest_size more bytes, which the caller writes
 * later. Reserves room for room bytes behind head. Returns 0 or -ENOMEM (the output is as it was).
 */
int reply_begin_long(struct session *s, uint16_t tag, const void *head, size_t head_size,
    uint64_t rest_size, size_t room);

/* Appends a reply of status 0 whose body is one u64. Returns 0 or -ENOMEM. */
int reply_u64(struct session *s, uint16_t tag, uint64_t value);

/*
 * Appends a reply with no body; error is 0 or a negative errno. Without memory for it the session
 * ends.
 */
void reply_status(struct session *s, uint16_t tag, int error);

/* Marks s as ready for the driver. */
void reply_mark_ready(struct session *s);

/*
 * Ends the session: no more requests are executed, and the driver closes the connection once the
 * replies are sent. Logs one line with the peer's name and the reason. Does nothing for a session
 * that is over.
 */
void reply_end_session(struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
