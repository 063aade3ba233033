/*
 * INSPECT over TLS: which certificates make an operator, and what operators are told of a server
 * that others use.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/wire/inspect.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/pki.h"
#include "tests/stress/raw.h"

enum {
	FILES = 2000, /* that live throughout */
	COMINGS = 64, /* that come and go between two pages */
	SEGMENT = 10000,
	HELD_MS = 50
};

static struct pki pki;
static struct daemon server;
static struct raw boss, peers[2]; /* of the running test */

/* Certificates. */

/*
 * A client's context whose certificate has these common names, each of the size given; the root has
 * signed it. Otherwise it is the certificate "client".
 */
static SSL_CTX *
context_with_names(const char *const names[], const int sizes[], size_t count)
{
	SSL_CTX *ctx = raw_context(&pki, NULL);
	X509 *cert = pki_read_certificate(&pki, "client");
	EVP_PKEY *root = pki_read_key(&pki, "root"), *key = pki_read_key(&pki, "client");
	X509_NAME *subject = X509_NAME_new();
	size_t i;

	for (i = 0; i < count; i++)
		assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", V_ASN1_UTF8STRING,
				     (const unsigned char *)names[i], sizes[i], -1, 0),
		    1);
	assert_int_equal(X509_set_subject_name(cert, subject), 1);
	assert_true(X509_sign(cert, root, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_NAME_free(subject);
	EVP_PKEY_free(root);
	EVP_PKEY_free(key);
	X509_free(cert);
	return ctx;
}

/* Connections. */

/* Connects with that context, which it frees, and begins a session of version 2 with a table. */
static void
connect_with(struct raw *r, SSL_CTX *ctx)
{
	raw_connect_plain(r, &server);
	assert_int_equal(raw_handshake(r, ctx), 0);
	SSL_CTX_free(ctx);
	raw_begin(r, true);
}

static void
connect_as(struct raw *r, const char *name)
{
	connect_with(r, raw_context(&pki, name));
}

/* What a client with that context, which it frees, gets for an INSPECT. */
static const char *
status_with(SSL_CTX *ctx)
{
	const char *status;
	struct raw r;

	connect_with(&r, ctx);
	status = RAW_ASK(&r, OP_INSPECT, "bq", PROTOCOL_INSPECT_SERVER, (uint64_t)0);
	raw_close(&r);
	return status;
}

static const char *
status_with_name(const char *name, int size)
{
	return status_with(context_with_names(&name, &size, 1));
}

/* Asks for a page; *records is a reader of its records. Returns next. */
static uint64_t
inspect(uint8_t what, uint64_t after, uint32_t *count, struct wire_reader *records)
{
	uint64_t next;

	assert_string_equal(RAW_ASK(&boss, OP_INSPECT, "bq", what, after), "0");
	assert_true(buf_size(&boss.body) <= PROTOCOL_SMALL_BODY_MOST);
	*records = wire_reader(buf_data(&boss.body), buf_size(&boss.body));
	next = wire_get_u64(records);
	*count = wire_get_u32(records);
	return next;
}

static struct inspect_server
inspect_the_server(void)
{
	struct wire_reader records;
	struct inspect_server s;
	uint32_t count;

	assert_int_equal(inspect(PROTOCOL_INSPECT_SERVER, 0, &count, &records), 0);
	assert_int_equal(count, 1);
	inspect_get_server(&records, &s);
	assert_true(wire_is_done(&records));
	return s;
}

/* The only file that there is. Its name is valid until the next request. */
static struct inspect_file
inspect_the_file(void)
{
	struct wire_reader records;
	struct inspect_file f;
	uint32_t count;

	assert_int_equal(inspect(PROTOCOL_INSPECT_FILES, 0, &count, &records), 0);
	assert_int_equal(count, 1);
	inspect_get_file(&records, &f);
	assert_true(wire_is_done(&records));
	return f;
}

static bool
is_string(struct inspect_string s, const char *expected)
{
	return s.size == strlen(expected) && memcmp(s.data, expected, s.size) == 0;
}

/* Waits until the server has no other session than the operator's, and no file. */
static void
await_quiet(void)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct inspect_server s;

	while (s = inspect_the_server(), s.sessions > 1 || s.files > 0) {
		if (clock_now() > deadline)
			fail_msg("%u sessions and %u files are left, not 1 and 0", s.sessions,
			    s.files);
		patience_breathe();
	}
}

static int
begin_all(void **state)
{
	const struct daemon_config config = { .pki = &pki,
		.args = { "-v", "--operators", "boss,second" } };

	(void)state;
	pki_create(&pki);
	pki_add(&pki, "client", "boss", NULL, NULL);
	daemon_open(&server, &config);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	daemon_fini(&server);
	pki_destroy(&pki);
	return 0;
}

static int
begin(void **state)
{
	(void)state;
	connect_as(&boss, "boss");
	await_quiet();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	raw_close(&boss);
	raw_close(&peers[0]);
	raw_close(&peers[1]);
	return 0;
}

/* Tests. */

static void
only_the_names_of_operators_make_one(void **state)
{
	(void)state;
	assert_string_equal(status_with(raw_context(&pki, "boss")), "0");
	assert_string_equal(status_with(raw_context(&pki, "client")), "ENOSYS");
	assert_string_equal(status_with_name("boss", 4), "0");
	assert_string_equal(status_with_name("second", 6), "0");
	assert_string_equal(status_with_name("bos", 3), "ENOSYS");
	assert_string_equal(status_with_name("boss2", 5), "ENOSYS");
	assert_string_equal(status_with_name("Boss", 4), "ENOSYS");
	assert_string_equal(status_with_name("boss,second", 11), "ENOSYS");
	assert_string_equal(status_with_name("boss\0", 5), "ENOSYS");
	assert_string_equal(status_with_name("boss\0x", 6), "ENOSYS");
}

static void
a_certificate_with_two_names_makes_none(void **state)
{
	static const char *const names[] = { "boss", "client", "boss", "second" };
	static const int sizes[] = { 4, 6, 4, 6 };

	(void)state;
	assert_string_equal(status_with(context_with_names(names, sizes, 2)), "ENOSYS");
	assert_string_equal(status_with(context_with_names(names + 1, sizes + 1, 2)), "ENOSYS");
	assert_string_equal(status_with(context_with_names(names + 2, sizes + 2, 2)), "ENOSYS");
	assert_string_equal(status_with(context_with_names(names, sizes, 0)), "ENOSYS");
}

static void
the_server_tells_its_sessions_files_and_bytes(void **state)
{
	struct inspect_server before = inspect_the_server(), after;

	(void)state;
	assert_int_equal(before.version, PROTOCOL_VERSION_2);
	assert_int_equal(before.segments_limit, PROTOCOL_SEGMENTS_DEFAULT);
	connect_as(&peers[0], "client");
	connect_as(&peers[1], "client");
	raw_open(&peers[0], "/f", SEGMENT);
	assert_string_equal(RAW_ASK(&peers[0], OP_ACQUIRE, "wbwq", (uint32_t)0, PROTOCOL_EXCLUSIVE,
				PROTOCOL_TIMEOUT_NEVER, (uint64_t)0),
	    "0");
	after = inspect_the_server();
	assert_memory_equal(before.instance_id, after.instance_id, PROTOCOL_INSTANCE_ID_SIZE);
	assert_int_equal(after.sessions, 3);
	assert_int_equal(after.files, 1);
	assert_int_equal(after.segments, (SEGMENT + 4095) / 4096 * 4096);
	assert_int_equal(after.grants, before.grants + 1);
	/* The first INSPECT itself; HELLO and NEW_FDTABLE of both; OPEN, MMAP and ACQUIRE. */
	assert_int_equal(after.requests, before.requests + 8);
	assert_true(after.uptime_ms >= before.uptime_ms);
	/* There has been a turn since, and no later one was longer than the longest. */
	assert_true(after.recent_turn_us <= after.longest_turn_us);
	assert_true(after.longest_turn_us > 0);
	assert_true(after.longest_turn_us >= before.longest_turn_us);
}

/* Sends an ACQUIRE with tag 7 that waits, and waits until the file has so many waiters. */
static void
begin_to_wait(struct raw *r, uint32_t waiters)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	assert_true(raw_say(r, UINT32_C(7) << 16 | OP_ACQUIRE, "wbwq", (uint32_t)0,
	    PROTOCOL_EXCLUSIVE, PROTOCOL_TIMEOUT_NEVER, (uint64_t)0));
	while (inspect_the_file().stat.waiters != waiters) {
		if (clock_now() > deadline)
			fail_msg("there are %u waiters, not %u", inspect_the_file().stat.waiters,
			    waiters);
		patience_breathe();
	}
}

/* The session of a peer whose certificate has that name; there is one. */
static struct inspect_session
inspect_session_of(const char *name)
{
	struct inspect_session s, found = { .key = 0 };
	struct wire_reader records;
	char account[64];
	uint32_t count, i;

	snprintf(account, sizeof account, "cert %s", name);
	assert_int_equal(inspect(PROTOCOL_INSPECT_SESSIONS, 0, &count, &records), 0);
	for (i = 0; i < count; i++) {
		inspect_get_session(&records, &s);
		if (is_string(s.peer, account)) {
			assert_int_equal(found.key, 0);
			found = s;
		}
	}
	assert_true(wire_is_done(&records));
	assert_true(found.key != 0);
	return found;
}

static void
a_file_tells_its_holder_and_its_waiters(void **state)
{
	const char *second = "second";
	uint64_t begin = clock_now();
	struct inspect_session holder, waiter;
	struct inspect_file f;
	const int size = 6;

	(void)state;
	connect_as(&peers[0], "client");
	connect_with(&peers[1], context_with_names(&second, &size, 1));
	raw_open(&peers[0], "/f", SEGMENT);
	raw_open(&peers[1], "/f", 0);
	f = inspect_the_file();
	assert_true(is_string(f.name, "/f"));
	assert_int_equal(f.holder, 0);
	assert_int_equal(f.stat.open_count, 2);
	assert_string_equal(RAW_ASK(&peers[0], OP_ACQUIRE, "wbwq", (uint32_t)0, PROTOCOL_EXCLUSIVE,
				PROTOCOL_TIMEOUT_NEVER, (uint64_t)0),
	    "0");
	begin_to_wait(&peers[1], 1);
	poll(NULL, 0, HELD_MS);
	holder = inspect_session_of("client");
	assert_int_equal(holder.held, 1);
	assert_int_equal(holder.waiting, 0);
	assert_int_equal(holder.descriptors, 1);
	assert_int_equal(holder.version, 2);
	/* HELLO, NEW_FDTABLE, OPEN, MMAP, ACQUIRE. */
	assert_int_equal(holder.requests, 5);
	assert_int_equal(holder.bytes_in, 16 + 8 + 14 + 16 + 25);
	assert_int_equal(holder.bytes_out, 40 + 8 + 12 + 8 + 8 + 20);
	assert_int_equal(holder.unsent, 0);
	waiter = inspect_session_of("second");
	assert_int_equal(waiter.held, 0);
	assert_int_equal(waiter.waiting, 1);
	f = inspect_the_file();
	assert_int_equal(f.holder, holder.key);
	assert_int_equal(f.stat.size, SEGMENT);
	assert_int_equal(f.stat.grants, 1);
	assert_in_range(f.held_ms, HELD_MS, (clock_now() - begin) / CLOCK_MS);
	assert_in_range(f.waited_ms, HELD_MS, (clock_now() - begin) / CLOCK_MS);
	assert_int_equal(f.bytes_granted, 4);
	assert_int_equal(f.bytes_released, 0);
}

static void
a_release_hands_the_lock_and_its_bytes_on(void **state)
{
	struct inspect_file f;

	(void)state;
	connect_as(&peers[0], "client");
	connect_as(&peers[1], "boss");
	raw_open(&peers[0], "/f", SEGMENT);
	raw_open(&peers[1], "/f", 0);
	assert_string_equal(RAW_ASK(&peers[0], OP_ACQUIRE, "wbwq", (uint32_t)0, PROTOCOL_EXCLUSIVE,
				PROTOCOL_TIMEOUT_NEVER, (uint64_t)0),
	    "0");
	begin_to_wait(&peers[1], 1);
	assert_string_equal(RAW_ASK(&peers[0], OP_RELEASE, "wqbwwwx", (uint32_t)0, (uint64_t)1, 0,
				UINT32_C(1), UINT32_C(0), UINT32_C(3), "abc", (size_t)3),
	    "0");
	assert_true(raw_listen(&peers[1]));
	f = inspect_the_file();
	assert_int_equal(f.stat.waiters, 0);
	assert_int_equal(f.stat.version, 1);
	assert_int_equal(f.stat.grants, 2);
	assert_true(f.holder > inspect_session_of("client").key);
	/* The first grant had no block, the second one has one. */
	assert_int_equal(inspect_the_file().bytes_granted, 4 + 4 + 8 + 4096);
	assert_int_equal(f.bytes_released, 4 + 8 + 3);
}

/* Paging. */

/* Opens the file of that number, of those that live throughout or of those that come and go. */
static uint32_t
open_number(struct raw *r, const char *kind, int number)
{
	char name[160];

	snprintf(name, sizeof name, "/%s%d-%0100d", kind, number, 0);
	return raw_open(r, name, 0);
}

/* Counts the files of a page that live throughout in seen. */
static void
count_page(struct wire_reader *records, uint32_t count, uint8_t seen[FILES])
{
	struct inspect_file f;
	char name[160];
	int number;

	for (; count > 0; count--) {
		inspect_get_file(records, &f);
		assert_false(records->failed);
		snprintf(name, sizeof name, "%.*s", (int)f.name.size, f.name.data);
		if (sscanf(name, "/stays%d-", &number) == 1) {
			assert_in_range(number, 0, FILES - 1);
			seen[number]++;
		}
	}
	assert_true(wire_is_done(records));
}

/* Closes what came for the last page, and opens as many others. */
static void
change_files(int page, uint32_t fds[COMINGS])
{
	int i;

	for (i = 0; i < COMINGS; i++) {
		if (page > 0)
			assert_string_equal(RAW_ASK(&peers[1], OP_CLOSE, "w", fds[i]), "0");
		fds[i] = open_number(&peers[1], "comes", page * COMINGS + i);
	}
}

static void
each_file_that_lives_throughout_is_on_one_page(void **state)
{
	static uint8_t seen[FILES];
	struct wire_reader records;
	uint32_t fds[COMINGS], count;
	struct raw more;
	uint64_t next;
	int i, page = 0;

	(void)state;
	connect_as(&peers[0], "client");
	connect_as(&peers[1], "client");
	connect_as(&more, "client");
	/* What comes and goes lies between what stays, and behind it. */
	for (i = 0; i < FILES; i++) {
		open_number(i % 2 == 0 ? &peers[0] : &more, "stays", i);
		if (i % (FILES / 8) == 0)
			change_files(i / (FILES / 8), fds);
	}
	memset(seen, 0, sizeof seen);
	next = inspect(PROTOCOL_INSPECT_FILES, 0, &count, &records);
	count_page(&records, count, seen);
	for (; next != 0; page++) {
		change_files(8 + page, fds);
		next = inspect(PROTOCOL_INSPECT_FILES, next, &count, &records);
		count_page(&records, count, seen);
	}
	assert_true(page >= 4);
	for (i = 0; i < FILES; i++)
		if (seen[i] != 1)
			fail_msg("file %d is on %u pages, not on 1", i, seen[i]);
	raw_close(&more);
}

static void
the_server_exits_with_0(void **state)
{
	(void)state;
	daemon_stop(&server);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(only_the_names_of_operators_make_one),
		TEST(a_certificate_with_two_names_makes_none),
		TEST(the_server_tells_its_sessions_files_and_bytes),
		TEST(a_file_tells_its_holder_and_its_waiters),
		TEST(a_release_hands_the_lock_and_its_bytes_on),
		TEST(each_file_that_lives_throughout_is_on_one_page),
		cmocka_unit_test(the_server_exits_with_0),
	};

	return cmocka_run_group_tests_name("INSPECT", tests, begin_all, end_all);
}
