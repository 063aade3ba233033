/*
 * wiper: large buffers that held plaintext, wiped and freed in pieces.
 *
 * Wiping 256 MiB takes a fifth of a second, in which no peer would be served. The wiping is a task
 * of the account that the buffer is charged to, and stays charged until it is free.
 */
#ifndef COMMON_SERVER_CORE_WIPER_H
#define COMMON_SERVER_CORE_WIPER_H

struct account;
struct buf;
struct schedule;

/*
 * Takes the storage out of b, which is then empty, together with its b->capacity bytes of
 * ACCOUNT_MEMORY of account. Without memory for the task it wipes at once.
 */
void wiper_take(struct schedule *schedule, struct account *account, struct buf *b);

#endif
