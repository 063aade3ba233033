/*
 * smuf's secrets on the host: several clients write known patterns all over a segment, some are
 * killed meanwhile, and no 16 bytes of the patterns or of the key are in any file of the memdir,
 * then and afterwards. The same search finds planted bytes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/size.h"
#include "common/crypto/random.h"
#include "common/crypto/sealbox.h"
#include "common/host/filename.h"
#include "common/host/hostwriter.h"
#include "common/wire/protocol.h"
#include "smuf/layout.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/raw.h"
#include "tests/stress/testpoint.h"

enum {
	SEGMENT = (HOSTWRITER_BLOCKS + 16) * SIZE_BLOCK +
	    777,     /* more blocks than are written at a time */
	CLIENTS = 4, /* the last two are killed */
	ROUNDS = 40,
	PIECE = 16,
	SECRETS_MOST = CLIENTS + 1,
	SECRET_SIZE = SEALBOX_KEY_SIZE + 2 * PIECE,
	PATH_SIZE = DAEMON_PATH_SIZE + 280
};

#define PATH CLIENT_MOUNT "/secret"

/* No piece of it may be in a file. */
static struct secret {
	const char *words;
	uint8_t bytes[SECRET_SIZE];
	size_t size;
} secrets[SECRETS_MOST];

static struct daemon server;
static uint8_t patterns[CLIENTS][PIECE];
static struct client mine; /* of the test's own process */

/* The pieces of a repeated pattern are those of two repetitions. */
static void
add_pattern(unsigned i)
{
	struct secret *s = &secrets[i];

	assert_int_equal(random_bytes(patterns[i], PIECE), 0);
	s->words = "a pattern";
	memcpy(s->bytes, patterns[i], PIECE);
	memcpy(s->bytes + PIECE, patterns[i], PIECE);
	s->size = 2 * PIECE;
}

/* The key, as any client gets it with a grant. */
static void
add_key(void)
{
	struct secret *s = &secrets[CLIENTS];
	struct raw r;
	uint32_t fd;

	raw_connect(&r, &server);
	raw_begin(&r, true);
	fd = raw_open(&r, "/secret", SEGMENT);
	assert_int_equal(raw_ask(&r, OP_ACQUIRE, "wbwq", fd, PROTOCOL_EXCLUSIVE,
			     (uint32_t)PROTOCOL_TIMEOUT_NEVER, (uint64_t)0),
	    0);
	assert_true(buf_size(&r.body) >= 16 + SEALBOX_KEY_SIZE);
	s->words = "the key";
	memcpy(s->bytes, buf_data(&r.body) + 16, SEALBOX_KEY_SIZE);
	s->size = SEALBOX_KEY_SIZE;
	raw_close(&r);
}

static const char *
find_in(const uint8_t *bytes, size_t size)
{
	const struct secret *s;
	size_t at;

	for (s = secrets; s < secrets + SECRETS_MOST; s++)
		for (at = 0; at + PIECE <= s->size; at++)
			if (memmem(bytes, size, s->bytes + at, PIECE) != NULL)
				return s->words;
	return NULL;
}

/* Returns the words of a secret found in the file, or NULL; counts the bytes. */
static const char *
find_in_file(const char *path, size_t *total)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	const char *found = NULL;
	uint8_t *bytes;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return NULL;
	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_non_null(bytes);
	n = pread(fd, bytes, (size_t)st.st_size, 0);
	if (n > 0) {
		found = find_in(bytes, (size_t)n);
		*total += (size_t)n;
	}
	free(bytes);
	close(fd);
	return found;
}

/* Searches all files. Returns the words of a secret found, or NULL. */
static const char *
search(size_t *total)
{
	DIR *dir = opendir(server.memdir);
	const char *found = NULL;
	char path[PATH_SIZE];
	struct dirent *e;

	assert_non_null(dir);
	while (found == NULL && (e = readdir(dir)) != NULL) {
		if (e->d_type == DT_DIR)
			continue;
		snprintf(path, sizeof path, "%s/%s", server.memdir, e->d_name);
		found = find_in_file(path, total);
	}
	closedir(dir);
	return found;
}

static void
expect_nothing(const char *when, size_t *total)
{
	const char *found = search(total);

	if (found != NULL)
		fail_msg("%s: %s is in the memdir", when, found);
}

/* Fills the segment from another offset in each round, so that every block changes. */
static void
write_pattern(uint8_t *map, unsigned self, unsigned round)
{
	size_t i;

	for (i = 0; i < SEGMENT; i++)
		map[i] = patterns[self][(i + round) % PIECE];
}

static int
be_client(unsigned self)
{
	struct client c;
	unsigned round;

	if (!client_open(&c, &server, PATH, SEGMENT))
		return 1;
	for (round = 0; round < ROUNDS; round++) {
		if (sm_lock(c.file) != 0)
			return 1;
		write_pattern(c.segment, self, round);
		if (self >= CLIENTS / 2 && round == ROUNDS / 2) {
			if (self == CLIENTS - 1)
				raise(SIGKILL);
			testpoint_plan("smuf release: block sealed", SEGMENT / SIZE_BLOCK / 2,
			    SIGKILL);
		}
		if (sm_unlock(c.file) != 0)
			return 1;
	}
	client_close(&c);
	return 0;
}

static void
nothing_of_plaintext_or_key_is_on_the_host(void **state)
{
	unsigned i, looks = 0, running = CLIENTS, killed = 0;
	pid_t pids[CLIENTS];
	size_t total = 0;
	int status;

	(void)state;
	for (i = 0; i < CLIENTS; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0) {
			client_close(&mine);
			_exit(be_client(i));
		}
	}
	while (running > 0) {
		expect_nothing("while they write", &total);
		looks++;
		for (i = 0; i < CLIENTS; i++)
			if (pids[i] > 0 && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
				pids[i] = -1;
				running--;
				killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
				if (!WIFSIGNALED(status))
					assert_int_equal(status, 0);
			}
	}
	assert_int_equal(killed, CLIENTS / 2);
	expect_nothing("afterwards", &total);
	/* The clients have written: the segment is one of the patterns. */
	assert_int_equal(sm_lock(mine.file), 0);
	assert_non_null(find_in(mine.segment, SEGMENT));
	assert_int_equal(sm_unlock(mine.file), 0);
	print_message("# looked %u times through %zu bytes in all\n", looks, total);
	assert_true(total > SEGMENT);
}

/*
 * Writes bytes at that offset, searches, and restores the file. Returns the result of the search.
 */
static const char *
plant(const uint8_t *bytes, uint64_t at)
{
	uint8_t before[PIECE];
	char path[PATH_SIZE];
	const char *found;
	size_t total = 0;
	int fd;

	snprintf(path, sizeof path, "%s/secret" FILENAME_SUFFIX, server.memdir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, before, PIECE, (off_t)at), PIECE);
	assert_int_equal(pwrite(fd, bytes, PIECE, (off_t)at), PIECE);
	found = search(&total);
	assert_int_equal(pwrite(fd, before, PIECE, (off_t)at), PIECE);
	close(fd);
	return found;
}

static void
the_search_finds_what_is_planted(void **state)
{
	size_t at, total = 0;
	struct secret *s;

	(void)state;
	for (s = secrets; s < secrets + SECRETS_MOST; s++)
		for (at = 0; at + PIECE <= s->size; at++) {
			const char *found = plant(s->bytes + at, 12345 + 4099 * at);

			assert_non_null(found);
			assert_string_equal(found, s->words);
		}
	expect_nothing("after the control", &total);
}

static int
begin_all(void **state)
{
	unsigned i;

	(void)state;
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true, .has_keys = true });
	client_expect_open(&mine, &server, PATH, SEGMENT);
	for (i = 0; i < CLIENTS; i++)
		add_pattern(i);
	add_key();
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	raw_abandon();
	client_close(&mine);
	daemon_close(&server);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_of_plaintext_or_key_is_on_the_host),
		cmocka_unit_test(the_search_finds_what_is_planted),
	};

	return cmocka_run_group_tests_name("smuf secrets", tests, begin_all, end_all);
}
