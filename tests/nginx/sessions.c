/*
 * The table of TLS sessions in zone files, ngx_zone_sessions.c of deploy/nginx/zone-files.patch,
 * beside a model that remembers all sessions: random puts, gets and removals in a table of few
 * pages. tests/nginx/run takes the table out of the patch.
 *
 * usage: sessions [OPERATIONS [SEED]]
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the table uses of nginx. */
#define NGX_OK 0
#define NGX_ERROR -1
#define NGX_MAX_UINT32_VALUE UINT32_MAX
#define ngx_min(a, b) ((a) < (b) ? (a) : (b))
#define ngx_max(a, b) ((a) < (b) ? (b) : (a))
#define ngx_memzero(p, n) memset(p, 0, n)
#define ngx_memcpy(to, from, n) memcpy(to, from, n)
#define ngx_memcmp(a, b, n) memcmp(a, b, n)

typedef intptr_t ngx_int_t;
typedef uintptr_t ngx_uint_t;
typedef unsigned char u_char;

typedef struct {
	int mutex;
	ngx_uint_t pfree;
} ngx_slab_pool_t;

static ngx_uint_t ngx_pagesize = 4096;
static time_t now = 1000;
static int is_in_file = 1;

static time_t
ngx_time(void)
{
	return now;
}

static void *
ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size)
{
	(void)pool;
	return malloc(size);
}

/* As a slab's: a size of whole pages begins on one. */
static void *
ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
	void *p = aligned_alloc(ngx_pagesize, size);

	(void)pool;
	return p == NULL ? NULL : memset(p, 0, size);
}

static void *
ngx_zone_file_find(int *mutex)
{
	return is_in_file ? mutex : NULL;
}

static uint32_t
ngx_crc32_short(u_char *p, size_t len)
{
	uint32_t hash = 0;

	while (len-- > 0)
		hash = hash * 31 + *p++;
	return hash;
}

#include <ngx_zone_sessions.c>

#define PAGES 3
#define SESSIONS 100
#define AHEAD 100000000 /* seconds */
#define ROOM (NGX_ZONE_SESSIONS_PAGE - offsetof(ngx_zone_session_t, session))

struct session {
	u_char id[32], bytes[NGX_ZONE_SESSIONS_PAGE];
	size_t id_len, len;
	time_t expire;
	int is_put;
};
static struct session sessions[SESSIONS];
static ngx_zone_sessions_t *table;

static void
require(int holds, const char *what, size_t operation)
{
	if (holds)
		return;
	printf("operation %zu: %s\n", operation, what);
	exit(1);
}

static void
fill(u_char *to, size_t len)
{
	while (len-- > 0)
		*to++ = (u_char)random();
}

static void
put(struct session *s, size_t size)
{
	*s = (struct session){ .id_len = random() % 8 == 0 ? 1 + random() % 32 : 32,
		.len = size,
		.expire = now + 1 + random() % 100,
		.is_put = size <= ROOM };
	fill(s->id, s->id_len);
	fill(s->bytes, s->len);
	ngx_zone_sessions_put(table, s->id, s->id_len, s->bytes, s->len, s->expire);
}

/* Most have no certificate of a client; some have one, and some fill a page or do not fit. */
static size_t
some_size(void)
{
	switch (random() % 10) {
	case 0:
		return 1 + random() % ROOM;
	case 1:
		return ROOM - 1 + random() % 3;
	default:
		return 120 + random() % 100;
	}
}

/* Returns whether it is there, unharmed. */
static int
get(const struct session *s, size_t operation)
{
	u_char *buf = malloc(NGX_ZONE_SESSIONS_PAGE);
	size_t len = ngx_zone_sessions_get(table, s->id, s->id_len, buf);

	if (len > 0) {
		require(s->is_put, "a session that was removed or was too large", operation);
		require(s->expire > now, "a session that has expired", operation);
		require(len == s->len && memcmp(buf, s->bytes, len) == 0,
		    "a session of other bytes", operation);
	}
	free(buf);
	return len > 0;
}

static size_t
count(void)
{
	size_t found = 0;

	for (size_t i = 0; i < SESSIONS; i++)
		found += get(&sessions[i], 0);
	return found;
}

static void
remove_all(void)
{
	for (size_t i = 0; i < SESSIONS; i++)
		ngx_zone_sessions_remove(table, sessions[i].id, sessions[i].id_len);
	memset(sessions, 0, sizeof sessions);
}

/* An empty table of small sessions loses none while no page has more than its slots. */
static void
fills_up(void)
{
	size_t of_page[PAGES] = { 0 }, kept = 0;

	for (size_t i = 0; i < SESSIONS; i++) {
		put(&sessions[i], 150);
		of_page[ngx_crc32_short(sessions[i].id, sessions[i].id_len) % PAGES]++;
	}
	for (size_t page = 0; page < PAGES; page++)
		kept += ngx_min(of_page[page], NGX_ZONE_SESSIONS_SLOTS);
	require(count() == kept, "it does not keep a session in each slot", 0);
	remove_all();
	for (size_t i = 0; i < table->npages * NGX_ZONE_SESSIONS_PAGE; i++)
		require(table->pages[i] == 0, "bytes stay of sessions that were removed", 0);
}

/* A page that is full: the session that was put first makes room, unless another has expired. */
static void
replaces_the_oldest(void)
{
	const struct session *first = NULL;
	size_t found_before;

	table->npages = 1;
	for (size_t i = 0; i <= NGX_ZONE_SESSIONS_SLOTS; i++)
		put(&sessions[i], 150);
	require(count() == NGX_ZONE_SESSIONS_SLOTS && !get(&sessions[0], 0),
	    "another session made room than the oldest", 0);
	for (size_t i = 1; i <= NGX_ZONE_SESSIONS_SLOTS; i++)
		if (first == NULL || sessions[i].expire < first->expire)
			first = &sessions[i];
	now = first->expire;
	found_before = count();
	put(&sessions[50], 150);
	require(count() == found_before + 1, "another session made room than one that had expired",
	    0);
	remove_all();
	table->npages = PAGES;
}

/* Sessions that were put while the clock was far ahead make room like others. */
static void
bears_a_clock_that_goes_back(void)
{
	table->npages = 1;
	now += AHEAD;
	for (size_t i = 0; i < NGX_ZONE_SESSIONS_SLOTS; i++)
		put(&sessions[i], 150);
	now -= AHEAD;
	for (size_t i = 50; i < 50 + NGX_ZONE_SESSIONS_SLOTS; i++)
		put(&sessions[i], 150);
	for (size_t i = 50; i < 50 + NGX_ZONE_SESSIONS_SLOTS; i++)
		require(get(&sessions[i], 0), "a session of a wrong time stays in the way", 0);
	remove_all();
	table->npages = PAGES;
}

int
main(int argc, char **argv)
{
	size_t operations = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000, found = 0;
	ngx_slab_pool_t pool = { .pfree = PAGES };

	srandom(argc > 2 ? (unsigned)atoi(argv[2]) : 1);
	is_in_file = 0;
	require(ngx_zone_sessions_init(&pool, &table) == NGX_OK && table == NULL,
	    "a table in anonymous memory", 0);
	is_in_file = 1;
	require(ngx_zone_sessions_init(&pool, &table) == NGX_OK && table->npages == PAGES,
	    "no table", 0);
	fills_up();
	replaces_the_oldest();
	bears_a_clock_that_goes_back();
	for (size_t i = 1; i <= operations; i++) {
		struct session *s = &sessions[random() % SESSIONS];

		now += random() % 20 == 0;
		switch (random() % 3) {
		case 0:
			put(s, some_size());
			require(get(s, i) == s->is_put, "a session that was just put is not there",
			    i);
			break;
		case 1:
			found += get(s, i);
			break;
		default:
			if (random() % 8 != 0)
				break;
			ngx_zone_sessions_remove(table, s->id, s->id_len);
			s->is_put = 0;
			require(!get(s, i), "a session that was just removed is there", i);
		}
	}
	require(found > operations / 50, "hardly a session was found", operations);
	printf("sessions: %zu operations, %zu found, no fault\n", operations, found);
	free(table->pages);
	free(table);
	return 0;
}
