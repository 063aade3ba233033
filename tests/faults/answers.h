/*
 * answers: what a peer learns from a reply, and what must be true of it.
 *
 * A client of smdish or smuf trusts nothing of a server either; here every field that the protocol
 * fixes is checked, and grants are checked against the model.
 */
#ifndef TESTS_FAULTS_ANSWERS_H
#define TESTS_FAULTS_ANSWERS_H

#include <stdint.h>

#include "common/wire/wire.h"

struct peer;
struct peer_request;
struct world;

/* Takes in the reply to q. */
void answers_take(struct world *w, struct peer *p, const struct peer_request *q, uint32_t status,
    struct wire_reader body);

/* A one-way RELEASE has succeeded. context is the world. */
void answers_accepted(void *context, const struct peer_request *q);

#endif
