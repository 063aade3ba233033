#include "tests/torture/book.h"

#include <stddef.h>
#include <stdio.h>

enum fate { IS_TRIED, IS_REFUSED, IS_PUBLISHED };

uint64_t
book_number(unsigned file, uint64_t life)
{
	return (life & ~UINT64_C(3)) + file + 1;
}

static void
raise_to(_Atomic uint64_t *number, uint64_t to)
{
	uint64_t now = atomic_load(number);

	while (now < to && !atomic_compare_exchange_strong(number, &now, to))
		;
}

static bool
is_section(const struct book_section *s, uint64_t number, uint64_t nonce)
{
	return atomic_load(&s->number) == number && atomic_load(&s->nonce) == nonce;
}

/* NULL: it was not tried. */
static struct book_section *
find(struct book *b, uint64_t number, uint64_t nonce)
{
	struct book_section *ways = b->ring[number % BOOK_RING];
	unsigned i;

	for (i = 0; i < BOOK_WAYS; i++)
		if (is_section(&ways[i], number, nonce))
			return &ways[i];
	return NULL;
}

void
book_try(struct book *b, uint64_t section, uint64_t nonce)
{
	struct book_section *s;

	/* A published one stays, however many more are tried. */
	do
		s = &b->ring[section % BOOK_RING]
			    [atomic_fetch_add(&b->tried[section % BOOK_RING], 1) % BOOK_WAYS];
	while (atomic_load(&s->number) == section && atomic_load(&s->fate) == IS_PUBLISHED);
	atomic_store(&s->number, 0);
	atomic_store(&s->nonce, nonce);
	atomic_store(&s->fate, IS_TRIED);
	atomic_store(&s->number, section);
}

/* Notes that the section is published; false when another one of its number is, too. */
static bool
publish(struct book *b, struct book_section *s, char text[BOOK_TEXT_SIZE])
{
	uint64_t number = atomic_load(&s->number);
	const struct book_section *ways = b->ring[number % BOOK_RING];
	unsigned i;

	/* First: of two that do this, one at least sees the other. */
	atomic_store(&s->fate, IS_PUBLISHED);
	raise_to(&b->committed, number);
	for (i = 0; i < BOOK_WAYS; i++) {
		if (&ways[i] == s || atomic_load(&ways[i].number) != number ||
		    atomic_load(&ways[i].fate) != IS_PUBLISHED)
			continue;
		snprintf(text, BOOK_TEXT_SIZE,
		    "two sections %lu were published, with the nonces %lx and %lx",
		    (unsigned long)number, (unsigned long)atomic_load(&s->nonce),
		    (unsigned long)atomic_load(&ways[i].nonce));
		return false;
	}
	return true;
}

bool
book_commit(struct book *b, uint64_t section, uint64_t nonce, char text[BOOK_TEXT_SIZE])
{
	struct book_section *s = find(b, section, nonce);

	return s == NULL || publish(b, s, text);
}

void
book_refuse(struct book *b, uint64_t section, uint64_t nonce)
{
	struct book_section *s = find(b, section, nonce);

	if (s != NULL)
		atomic_store(&s->fate, IS_REFUSED);
}

bool
book_check(struct book *b, const struct content *c, bool may_be_old, char text[BOOK_TEXT_SIZE])
{
	uint64_t committed = atomic_load(&b->committed);
	struct book_section *s = find(b, c->section, c->nonce);

	if (c->section < committed && may_be_old)
		return true;
	if (c->section < committed)
		snprintf(text, BOOK_TEXT_SIZE,
		    "lost: section %lu was committed, and the segment holds %lu",
		    (unsigned long)committed, (unsigned long)c->section);
	else if (c->section == 0 && c->book == 0 && c->nonce == 0)
		return true;
	else if (c->book != atomic_load(&b->number))
		snprintf(text, BOOK_TEXT_SIZE, "the segment is that of book %lx, not of %lx",
		    (unsigned long)c->book, (unsigned long)atomic_load(&b->number));
	else if (s == NULL)
		snprintf(text, BOOK_TEXT_SIZE,
		    "the segment holds section %lu, nonce %lx, which nobody published; %lu is committed",
		    (unsigned long)c->section, (unsigned long)c->nonce, (unsigned long)committed);
	else if (atomic_load(&s->fate) == IS_REFUSED)
		snprintf(text, BOOK_TEXT_SIZE, "section %lu was refused, and is published",
		    (unsigned long)c->section);
	else
		/* Whether or not its process lives: now it must not get lost. */
		return publish(b, s, text);
	return false;
}

bool
book_grant(struct book *b, uint64_t number, uint64_t grant, bool is_exclusive,
    char text[BOOK_TEXT_SIZE])
{
	uint64_t below = atomic_load(is_exclusive ? &b->highest : &b->exclusive);

	if (number != atomic_load(&b->number)) {
		snprintf(text, BOOK_TEXT_SIZE, "sm_grant: the life is that of book %lx, not of %lx",
		    (unsigned long)number, (unsigned long)atomic_load(&b->number));
		return false;
	}
	if (grant < below || (grant == below && (is_exclusive || grant != atomic_load(&b->kept)))) {
		snprintf(text, BOOK_TEXT_SIZE, "sm_grant: %s grant %lu after grant %lu",
		    is_exclusive ? "the exclusive" : "the", (unsigned long)grant,
		    (unsigned long)below);
		return false;
	}
	raise_to(&b->highest, grant);
	if (is_exclusive)
		raise_to(&b->exclusive, grant);
	return true;
}

void
book_keep(struct book *b)
{
	raise_to(&b->kept, atomic_load(&b->exclusive));
}
