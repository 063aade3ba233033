/*
 * counter [-f FORKS] [-h] [-w MS] CONF PATH SIZE TIMES TOTAL [PROCESSES [LIVES]]: a client, with
 * nothing but the library's public functions.
 *
 * Each of PROCESSES processes counts TIMES in each block of the SIZE bytes at PATH, and waits until
 * TOTAL is there: of all processes of all counters on the host. With -f, FORKS children count once
 * each before, one after the other, with the parent's open file. With -h, each process takes the
 * lock, counts, prints "held", and waits to be killed, so that this is not published. With -w, a
 * process that has waited so long for the lock fails. Then the file is closed, and mapped again
 * LIVES - 1 times, twice as large each time: the last one to have it open, which a counter alone
 * is, begins a new life of it. Prints TOTAL when it has come to that.
 */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/client/smclient.h"

enum { BLOCK = 4096, PAUSE_NS = 5 * 1000 * 1000, MS_NS = 1000 * 1000, S_NS = 1000 * MS_NS };

static struct sm *sm;

/* Of the command line. */
static uint64_t forks;
static bool is_holder;
static uint64_t wait_ms; /* 0: for ever */

static uint64_t
number(const char *text)
{
	return strtoull(text, NULL, 10);
}

static void
lock(struct sm_file *f)
{
	struct timespec until;
	uint64_t ns;
	int rc;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	ns = (uint64_t)until.tv_nsec + wait_ms % 1000 * MS_NS;
	until.tv_sec += (time_t)(wait_ms / 1000 + ns / S_NS);
	until.tv_nsec = (long)(ns % S_NS);
	rc = wait_ms > 0 ? sm_timedlock(f, &until) : sm_lock(f);
	if (rc != 0)
		errx(1, "locking: %s: %s", strerror(errno), sm_error(sm));
}

/* Adds to the first word of each block, in one critical section. Returns the sum. */
static uint64_t
add(struct sm_file *f, uint64_t *words, size_t size, uint64_t n)
{
	const size_t step = BLOCK / sizeof *words, count = size / sizeof *words;
	uint64_t sum;

	lock(f);
	for (size_t i = step; i < count; i += step) {
		if (words[i] != words[0])
			errx(1, "blocks differ: %llu, %llu", (unsigned long long)words[0],
			    (unsigned long long)words[i]);
		words[i] += n;
	}
	sum = words[0] += n;
	if (sm_unlock(f) != 0)
		errx(1, "sm_unlock: %s", sm_error(sm));
	return sum;
}

static void
count_in_children(struct sm_file *f, uint64_t *words, size_t size)
{
	uint64_t i;
	int status;
	pid_t pid;

	for (i = 0; i < forks; i++) {
		pid = fork();
		if (pid == -1)
			err(1, "fork %llu", (unsigned long long)i);
		if (pid == 0) {
			add(f, words, size, 1);
			sm_free(sm); /* smc without kernel locks would count it as a user */
			exit(0);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0)
			errx(1, "child %llu failed", (unsigned long long)i);
	}
}

static void
hold(struct sm_file *f, uint64_t *words)
{
	lock(f);
	words[0]++;
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

static void
count(const char *path, size_t size, uint64_t times, uint64_t total)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct sm_file *f = sm_open(sm, path);
	uint64_t *words = f == NULL ? NULL : sm_map(f, NULL, size);
	uint64_t sum;

	if (words == NULL)
		errx(1, "%s: %s", path, sm_error(sm));
	if (is_holder)
		hold(f, words);
	count_in_children(f, words, size);
	while (times-- > 0)
		add(f, words, size, 1);
	while ((sum = add(f, words, size, 0)) < total)
		nanosleep(&pause, NULL);
	if (sum > total)
		errx(1, "%s: counted %llu", path, (unsigned long long)sum);
	if (sm_unmap(sm, words) != 0 || sm_close(f) != 0)
		errx(1, "closing: %s", sm_error(sm));
}

/* Leaves the operands in argv. Returns their number. */
static int
parse_options(int argc, char ***argv)
{
	int c;

	while ((c = getopt(argc, *argv, "f:hw:")) != -1) {
		if (c == 'f')
			forks = number(optarg);
		else if (c == 'h')
			is_holder = true;
		else if (c == 'w')
			wait_ms = number(optarg);
		else
			exit(2);
	}
	*argv += optind;
	return argc - optind;
}

int
main(int argc, char **argv)
{
	const int operands = parse_options(argc, &argv);
	uint64_t processes = operands > 5 ? number(argv[5]) : 1;
	uint64_t lives = operands > 6 ? number(argv[6]) : 1;
	bool is_child = false;
	size_t size;
	int status;

	if (operands < 5)
		errx(2,
		    "usage: counter [-f FORKS] [-h] [-w MS] CONF PATH SIZE TIMES TOTAL [PROCESSES [LIVES]]");
	size = number(argv[2]);
	sm = sm_new();
	if (sm == NULL || sm_load(sm, argv[0]) != 0)
		errx(1, "%s", sm == NULL ? "sm_new" : sm_error(sm));
	for (; processes > 1 && !is_child; processes--)
		is_child = fork() == 0;
	for (; lives > 0; lives--, size *= 2)
		count(argv[1], size, number(argv[3]), number(argv[4]));
	sm_free(sm);
	while (!is_child && wait(&status) > 0)
		if (status != 0)
			errx(1, "a process failed");
	if (!is_child)
		puts(argv[4]);
	return 0;
}
