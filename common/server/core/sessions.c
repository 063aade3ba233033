#include "common/server/core/sessions.h"

#include "common/server/core/core.h"

static int
compare(struct session *a, struct session *b)
{
	return a->key < b->key ? -1 : a->key > b->key;
}

RB_PROTOTYPE(session_tree, session, link, compare)
RB_GENERATE(session_tree, session, link, compare)

void
sessions_init(struct sessions *ss)
{
	*ss = (struct sessions){ .count = 0 };
	RB_INIT(&ss->tree);
}

void
sessions_add(struct sessions *ss, struct session *s)
{
	s->key = ++ss->last_key;
	RB_INSERT(session_tree, &ss->tree, s);
	ss->count++;
}

void
sessions_remove(struct sessions *ss, struct session *s)
{
	RB_REMOVE(session_tree, &ss->tree, s);
	ss->count--;
}

struct session *
sessions_after(struct sessions *ss, uint64_t key)
{
	struct session pivot = { .key = key };
	struct session *s = RB_NFIND(session_tree, &ss->tree, &pivot);

	return s != NULL && s->key == key ? RB_NEXT(session_tree, &ss->tree, s) : s;
}
