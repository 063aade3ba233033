/*
 * counter: adds to a counter that processes share.
 *
 *	counter MOUNTFILE TIMES
 *
 * opens the memory file /shared/counter, adds 1 to it TIMES times, and prints it. Then it waits for
 * the end of its input: the counter lives as long as a process has it open. counter.cc and
 * counter.py do the same to the same counter; start several of them.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <smclient.h>

static int
count(struct sm_file *file, uint64_t *counter, unsigned long times)
{
	for (unsigned long i = 0; i < times; i++) {
		if (sm_lock(file) != 0)
			return -1;
		++*counter;
		if (sm_unlock(file) != 0)
			return -1;
	}
	return 0;
}

static int
print(struct sm_file *file, const uint64_t *counter)
{
	if (sm_rdlock(file) != 0)
		return -1;
	printf("%" PRIu64 "\n", *counter);
	fflush(stdout);
	return sm_unlock(file);
}

int
main(int argc, char **argv)
{
	struct sm *sm = sm_new();
	struct sm_file *file;
	uint64_t *counter;

	if (argc != 3) {
		fprintf(stderr, "usage: counter MOUNTFILE TIMES\n");
		return 2;
	}
	if (sm == NULL || sm_load(sm, argv[1]) != 0 ||
	    (file = sm_open(sm, "/shared/counter")) == NULL ||
	    (counter = sm_map(file, NULL, sizeof *counter)) == NULL ||
	    count(file, counter, strtoul(argv[2], NULL, 10)) != 0 || print(file, counter) != 0) {
		fprintf(stderr, "counter: %s\n", sm_error(sm));
		return 1;
	}
	while (getchar() != EOF)
		;
	sm_free(sm);
	return 0;
}
