/*
 * Threads that connect at the same time, with a list of revoked certificates (CRLFILE): in one set
 * and in sets of their own, while the list is replaced, and after it has the server's certificate.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/pki.h"

enum {
	THREADS = 8,
	SHARING = 4, /* of them, in one set */
	SETS = 1 + THREADS - SHARING,
	MOUNTS = 2,
	ROUNDS = 20,
	PATH_SIZE = 32
};

struct visitor {
	pthread_t thread;
	struct sm *sm;
	char path[PATH_SIZE];
	int error;
	char message[256];
};

static struct pki pki;
static struct daemon servers[MOUNTS]; /* smdish, smuf */
static struct sm *sets[SETS];
static struct visitor visitors[THREADS];
static pthread_barrier_t start;
static atomic_bool is_over;

static int
begin_all(void **state)
{
	char list[PKI_PATH_SIZE];
	size_t i;

	(void)state;
	pki_create(&pki);
	pki_list(&pki);
	for (i = 0; i < MOUNTS; i++) {
		const struct daemon_config config = { .is_smuf = i == 1,
			.pki = &pki,
			.args = { "-C", pki_file(&pki, "root", "crl", list) } };

		daemon_open(&servers[i], &config);
	}
	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	daemon_fini(&servers[0]);
	daemon_fini(&servers[1]);
	pki_destroy(&pki);
	return pthread_barrier_destroy(&start);
}

/* A mount file for both servers, with the list. */
static void
write_mounts(char conf[PKI_PATH_SIZE])
{
	FILE *f = fopen(pki_file(&pki, "both", "conf", conf), "w");

	assert_non_null(f);
	fprintf(f, "MOUNT %s /s0 smdish\n", servers[0].address);
	fprintf(f, "MOUNT %s,file:%s /s1 smuf\n", servers[1].address, servers[1].memdir);
	fprintf(f, "CAFILE root.crt\nCERTFILE client.crt\nKEYFILE client.key\nCRLFILE root.crl\n");
	assert_int_equal(fclose(f), 0);
}

/* Opens, locks, unlocks and closes a file, for which the set has to connect. */
static int
visit_file(struct visitor *v)
{
	struct sm_file *file = sm_open(v->sm, v->path);

	if (file == NULL || sm_lock(file) != 0 || sm_unlock(file) != 0 || sm_close(file) != 0)
		return errno;
	return 0;
}

static void *
visit(void *arg)
{
	struct visitor *v = arg;

	pthread_barrier_wait(&start);
	v->error = visit_file(v);
	/* sm_error() is the thread's own. */
	snprintf(v->message, sizeof v->message, "%s", v->error != 0 ? sm_error(v->sm) : "");
	return NULL;
}

/* All threads at once, in sets that have not connected before. */
static void
visit_together(void)
{
	char conf[PKI_PATH_SIZE];
	struct visitor *v;
	size_t i;

	write_mounts(conf);
	for (i = 0; i < SETS; i++) {
		sets[i] = sm_new();
		assert_non_null(sets[i]);
		if (sm_load(sets[i], conf) != 0)
			fail_msg("sm_load: %s", sm_error(sets[i]));
	}
	for (i = 0; i < THREADS; i++) {
		v = &visitors[i];
		v->sm = sets[i < SHARING ? 0 : 1 + i - SHARING];
		snprintf(v->path, sizeof v->path, "/s%zu/of-%zu", i % MOUNTS, i);
		assert_int_equal(pthread_create(&v->thread, NULL, visit, v), 0);
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(visitors[i].thread, NULL), 0);
	for (i = 0; i < SETS; i++)
		sm_free(sets[i]);
}

static void
expect_all_served(void)
{
	size_t i;

	for (i = 0; i < THREADS; i++)
		if (visitors[i].error != 0)
			fail_msg("thread %zu: %s", i, visitors[i].message);
}

static bool
all_served(void)
{
	size_t i;

	for (i = 0; i < THREADS; i++)
		if (visitors[i].error != 0)
			return false;
	return true;
}

static void
threads_connect_at_once(void **state)
{
	size_t round;

	(void)state;
	patience_alarm(ROUNDS * PATIENCE_MS);
	for (round = 0; round < ROUNDS; round++) {
		visit_together();
		expect_all_served();
	}
}

/* Replaces the list by itself, as mkpki does: a new file takes its name. */
static void *
replace_list(void *arg)
{
	char list[PKI_PATH_SIZE], next[PKI_PATH_SIZE], bytes[16 * 1024];
	size_t size;
	FILE *f;

	(void)arg;
	pki_file(&pki, "root", "crl", list);
	pki_file(&pki, "root", "next", next);
	f = fopen(list, "r");
	if (f == NULL)
		abort();
	size = fread(bytes, 1, sizeof bytes, f);
	(void)fclose(f);
	while (!atomic_load(&is_over)) {
		f = fopen(next, "w");
		if (f == NULL || fwrite(bytes, 1, size, f) != size || fclose(f) != 0 ||
		    rename(next, list) != 0)
			abort();
		patience_breathe();
	}
	return NULL;
}

static void
threads_connect_while_the_list_is_replaced(void **state)
{
	pthread_t thread;
	size_t round;

	(void)state;
	patience_alarm(ROUNDS * PATIENCE_MS);
	atomic_store(&is_over, false);
	assert_int_equal(pthread_create(&thread, NULL, replace_list, NULL), 0);
	for (round = 0; round < ROUNDS; round++) {
		visit_together();
		if (!all_served())
			break;
	}
	atomic_store(&is_over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	expect_all_served();
}

/* The last test: nobody gets through, whoever connects first. */
static void
all_threads_refuse_a_revoked_server(void **state)
{
	size_t i, round;

	(void)state;
	patience_alarm(ROUNDS * PATIENCE_MS);
	pki_revoke(&pki, "server");
	for (round = 0; round < ROUNDS; round++) {
		visit_together();
		for (i = 0; i < THREADS; i++)
			if (visitors[i].error != EACCES ||
			    strstr(visitors[i].message, "it is revoked") == NULL)
				fail_msg(
				    "thread %zu: expected EACCES, as it is revoked; got %s: %s", i,
				    strerror(visitors[i].error), visitors[i].message);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_connect_at_once),
		cmocka_unit_test(threads_connect_while_the_list_is_replaced),
		cmocka_unit_test(all_threads_refuse_a_revoked_server),
	};

	return cmocka_run_group_tests_name("threads with a list", tests, begin_all, end_all);
}
