/*
 * content: what a segment holds, so that a lost or a half published section shows.
 *
 * The first block begins with words: the number of the life's book, the number of the section that
 * was published last, that section's *nonce* (a number of its own), and for each further block the
 * nonce of the section that wrote it last. The rest of the first block is zeros; all words of
 * another block follow from the nonce of its last section and its number. So a segment that has a
 * block of one section and the first block of another does not fit together.
 */
#ifndef TESTS_TORTURE_CONTENT_H
#define TESTS_TORTURE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONTENT_TEXT_SIZE = 160 };

struct content {
	uint64_t book; /* the number of the life's; 0: nothing was ever published */
	uint64_t section;
	uint64_t nonce;
};

/*
 * With the lock: reads what the segment of size bytes holds. False when it does not fit together,
 * with a sentence in text.
 */
bool content_read(const uint8_t *segment, uint32_t size, struct content *out,
    char text[CONTENT_TEXT_SIZE]);

/* The number of blocks after the first. */
uint32_t content_blocks(uint32_t size);

/* Bytes of the first block that content_begin() writes. */
uint32_t content_header_size(uint32_t size);

/* With the lock: write the section's words, and block n, counted from 1, as its last writer. */
void content_begin(uint8_t *segment, const struct content *c);
void content_write(uint8_t *segment, uint32_t size, uint32_t n, uint64_t nonce);

/* With the lock: writes a value into every block that no process may ever see. */
void content_poison(uint8_t *segment, uint32_t size);

#endif
