/*
 * The host's files of memory files without a server contain neither plaintext nor keys (DESIGN 2,
 * smc/FORMAT 5).
 *
 * The segment is filled with patterns that occur nowhere else, 16 bytes each: an AES block. All
 * files of the host, as they are between releases, are searched for each pattern at any offset, and
 * for any 16 bytes of keys.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "common/crypto/keys.h"
#include "common/host/filename.h"
#include "common/host/hostwriter.h"
#include "smc/lockfile.h"
#include "tests/stress/client.h"
#include "tests/stress/smc.h"

#define NAME "secret"

enum {
	PIECE = 16,
	BLOCKS = HOSTWRITER_BLOCKS + 6, /* more than the writer's buffer has */
	SEGMENT = (BLOCKS - 1) * SIZE_BLOCK + 100,
	RELEASES = 4,
	TABLE_BITS = 18,
	TABLE_SIZE = 1 << TABLE_BITS
};

/* A hash table of the pieces to search for, with open addressing. */
static struct {
	uint8_t pieces[TABLE_SIZE][PIECE];
	bool is_used[TABLE_SIZE];
} table;

static unsigned scanned;

static size_t
hash_of(const uint8_t piece[PIECE])
{
	uint64_t halves[2];

	memcpy(halves, piece, sizeof halves);
	return (size_t)(((halves[0] ^ halves[1] << 1) * UINT64_C(0x9e3779b97f4a7c15)) >>
	    (64 - TABLE_BITS));
}

static size_t
find(const uint8_t piece[PIECE])
{
	size_t i = hash_of(piece);

	while (table.is_used[i] && memcmp(table.pieces[i], piece, PIECE) != 0)
		i = (i + 1) % TABLE_SIZE;
	return i;
}

static void
look_for(const uint8_t piece[PIECE])
{
	size_t i = find(piece);

	memcpy(table.pieces[i], piece, PIECE);
	table.is_used[i] = true;
}

/* Searches for any 16 bytes of it from now on. */
static void
look_for_all_of(const uint8_t *bytes, size_t size)
{
	size_t i;

	for (i = 0; i + PIECE <= size; i++)
		look_for(bytes + i);
}

/* Counts the pieces found in the file. */
static unsigned
scan_file(const char *path)
{
	enum { MOST = 4 * 1024 * 1024 };
	static uint8_t bytes[MOST];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned found = 0;
	ssize_t size, i;

	assert_int_not_equal(fd, -1);
	size = read(fd, bytes, sizeof bytes);
	(void)close(fd);
	assert_in_range(size, PIECE, MOST - 1);
	for (i = 0; i + PIECE <= size; i++)
		found += table.is_used[find(bytes + i)];
	scanned++;
	return found;
}

static unsigned
scan_all(const struct smc_world *world)
{
	char path[SMC_PATH_SIZE + 300];
	DIR *d = opendir(world->memory);
	unsigned found = 0;
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", world->memory, e->d_name);
		found += scan_file(path);
	}
	(void)closedir(d);
	return found;
}

/* Fills the segment with pieces that no other release has, and searches for them from now on. */
static void
fill(uint8_t *segment, uint32_t release)
{
	uint32_t words[PIECE / sizeof(uint32_t)] = { 0x5ec2e700 + release, 0, 0x7fadc0de,
		0x13579bdf };
	size_t i;

	for (i = 0; i + PIECE <= SEGMENT; i += PIECE) {
		words[1] = (uint32_t)i;
		memcpy(segment + i, words, PIECE);
		look_for(segment + i);
	}
}

static void
publish(struct client *p, uint32_t release)
{
	assert_int_equal(sm_lock(p->file), 0);
	fill(p->segment, release);
	assert_int_equal(sm_unlock(p->file), 0);
}

/* Searches for the master key, and for the key derived from it for this life. */
static void
look_for_keys(const struct smc_world *world)
{
	uint8_t master[KEYS_SIZE], key[KEYS_SIZE];
	struct lockfile_head head;
	int fd = open(world->key, O_RDONLY);

	assert_int_equal(read(fd, master, sizeof master), sizeof master);
	(void)close(fd);
	fd = open(smc_path(world, NAME, ""), O_RDONLY);
	assert_int_equal(read(fd, &head, sizeof head), sizeof head);
	(void)close(fd);
	assert_int_equal(keys_derive(key, master, head.salt, NAME), 0);
	look_for_all_of(master, sizeof master);
	look_for_all_of(key, sizeof key);
}

static void
scan_finds_what_was_planted(void **state)
{
	static uint8_t bytes[SIZE_BLOCK];
	struct smc_world world;
	int fd;

	(void)state;
	memset(&table, 0, sizeof table);
	smc_world_create(&world);
	assert_true(smc_write_file(smc_path(&world, "planted", ""), 0, SIZE_BLOCK));
	memset(bytes, 0x77, PIECE);
	look_for(bytes);
	assert_int_equal(scan_all(&world), 0);
	fd = open(smc_path(&world, "planted", ""), O_WRONLY);
	assert_int_equal(pwrite(fd, bytes, PIECE, 1234 + 5), PIECE);
	(void)close(fd);
	assert_int_equal(scan_all(&world), 1);
	smc_world_destroy(&world);
}

static void
keep_secrets(bool has_key)
{
	struct smc_world world;
	struct client p, q;
	uint32_t release;

	memset(&table, 0, sizeof table);
	scanned = 0;
	smc_world_create(&world);
	assert_int_equal(smc_join_as(&p, &world, has_key ? world.key : NULL, NAME, SEGMENT), 0);
	if (has_key)
		look_for_keys(&world);
	for (release = 0; release < RELEASES; release++) {
		publish(&p, release);
		assert_int_equal(scan_all(&world), 0);
	}
	/* Each release was searched for in both files, and a process with the key can read it. */
	assert_int_equal(scanned, 2 * RELEASES);
	if (has_key) {
		assert_int_equal(smc_join(&q, &world, NAME, SEGMENT), 0);
		assert_int_equal(sm_lock(q.file), 0);
		assert_true(table.is_used[find(q.segment + SIZE_BLOCK)]);
		assert_memory_equal(q.segment, p.segment, SEGMENT);
		assert_int_equal(sm_unlock(q.file), 0);
		client_close(&q);
	}
	client_close(&p);
	smc_world_destroy(&world);
}

static void
neither_plaintext_nor_keys_are_in_host_files(void **state)
{
	(void)state;
	keep_secrets(true);
}

static void
nor_are_they_with_a_drawn_key(void **state)
{
	(void)state;
	keep_secrets(false);
}

/* A block of zeros encrypts to key stream: no two releases and no two blocks may share it. */
static void
the_same_content_is_never_encrypted_the_same_way(void **state)
{
	static uint8_t bytes[SIZE_BLOCK];
	struct smc_world world;
	struct client p;
	uint32_t release, block;
	int fd;

	(void)state;
	memset(&table, 0, sizeof table);
	smc_world_create(&world);
	assert_int_equal(smc_join(&p, &world, NAME, SEGMENT), 0);
	for (release = 0; release < RELEASES; release++) {
		assert_int_equal(sm_lock(p.file), 0);
		memset(p.segment, (int)(1 + release % 2), SEGMENT);
		assert_int_equal(sm_unlock(p.file), 0);
		fd = open(smc_path(&world, NAME, FILENAME_SUFFIX), O_RDONLY);
		for (block = 0; block < 2 * (BLOCKS - 1); block++) {
			if (block % 2 != release % 2)
				continue;
			assert_int_equal(pread(fd, bytes, SIZE_BLOCK, (off_t)block * SIZE_BLOCK),
			    SIZE_BLOCK);
			assert_false(table.is_used[find(bytes)]);
			look_for(bytes);
		}
		(void)close(fd);
	}
	client_close(&p);
	smc_world_destroy(&world);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(scan_finds_what_was_planted),
		cmocka_unit_test(neither_plaintext_nor_keys_are_in_host_files),
		cmocka_unit_test(nor_are_they_with_a_drawn_key),
		cmocka_unit_test(the_same_content_is_never_encrypted_the_same_way),
	};

	return cmocka_run_group_tests_name("smc secrets", tests, NULL, NULL);
}
