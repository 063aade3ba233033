#include "tests/torture/content.h"

#include <stdio.h>

#include "common/base/size.h"
#include "tests/torture/choice.h"

enum { BOOK, SECTION, NONCE, WRITERS, WORDS = SIZE_BLOCK / 8 };

#define POISON UINT64_C(0x6e6f7369006f6e21)

static const uint64_t *
block_words(const uint8_t *segment, uint32_t n)
{
	return (const uint64_t *)(const void *)(segment + (size_t)n * SIZE_BLOCK);
}

/* Whole words of the block: a last one that is short may end within a word. */
static uint32_t
word_count(uint32_t size, uint32_t n)
{
	return size_of_block(size, n) / 8;
}

uint32_t
content_blocks(uint32_t size)
{
	return size_block_count(size) - 1;
}

uint32_t
content_header_size(uint32_t size)
{
	return 8 * (WRITERS + content_blocks(size));
}

static uint64_t
first_word(uint64_t nonce, uint32_t n)
{
	return nonce == 0 ? 0 : choice_branch(nonce, n);
}

static bool
read_first(const uint64_t *words, uint32_t size, char text[CONTENT_TEXT_SIZE])
{
	uint32_t i;

	for (i = content_header_size(size) / 8; i < word_count(size, 0); i++)
		if (words[i] != 0) {
			snprintf(text, CONTENT_TEXT_SIZE,
			    "word %u of the first block is %lx, not 0", i, (unsigned long)words[i]);
			return false;
		}
	return true;
}

static bool
read_block(const uint64_t *words, uint32_t size, uint32_t n, uint64_t nonce,
    char text[CONTENT_TEXT_SIZE])
{
	uint64_t first = first_word(nonce, n), step = nonce != 0;
	uint32_t i;

	for (i = 0; i < word_count(size, n); i++)
		if (words[i] != first + step * i) {
			snprintf(text, CONTENT_TEXT_SIZE,
			    "half published: word %u of block %u is %lx, and not %lx of section %lx",
			    i, n, (unsigned long)words[i], (unsigned long)(first + step * i),
			    (unsigned long)nonce);
			return false;
		}
	return true;
}

bool
content_read(const uint8_t *segment, uint32_t size, struct content *out,
    char text[CONTENT_TEXT_SIZE])
{
	const uint64_t *words = block_words(segment, 0);
	uint32_t n;

	if (!read_first(words, size, text))
		return false;
	for (n = 1; n <= content_blocks(size); n++)
		if (!read_block(block_words(segment, n), size, n, words[WRITERS + n - 1], text))
			return false;
	*out = (struct content){ words[BOOK], words[SECTION], words[NONCE] };
	return true;
}

void
content_begin(uint8_t *segment, const struct content *c)
{
	uint64_t *words = (uint64_t *)(void *)segment;

	words[BOOK] = c->book;
	words[SECTION] = c->section;
	words[NONCE] = c->nonce;
}

void
content_write(uint8_t *segment, uint32_t size, uint32_t n, uint64_t nonce)
{
	uint64_t *words = (uint64_t *)(void *)(segment + (size_t)n * SIZE_BLOCK);
	uint32_t i;

	((uint64_t *)(void *)segment)[WRITERS + n - 1] = nonce;
	for (i = 0; i < word_count(size, n); i++)
		words[i] = first_word(nonce, n) + i;
}

void
content_poison(uint8_t *segment, uint32_t size)
{
	uint32_t n, i;

	for (n = 0; n <= content_blocks(size); n++) {
		uint64_t *words = (uint64_t *)(void *)(segment + (size_t)n * SIZE_BLOCK);

		for (i = 0; i < word_count(size, n); i++)
			words[i] = POISON;
	}
}
