/*
 * torture: processes of several threads lock and publish in every way, fork, die, stop, lose
 * their server, their disk and the truth of their host's files, over all three kinds of memory
 * files; what must be so is in a ledger outside (ledger.h).
 *
 * This file has the options, the rounds, and the supervisor: the process that the user sees. It
 * forks the process that plays the rounds, ends with it, and leaves no process and no file, also
 * after a signal.
 */
#include <sys/types.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/patience.h"
#include "tests/stress/scratch.h"
#include "tests/torture/game.h"

enum {
	USAGE_STATUS = 2,
	SECONDS = 60,
	SECONDS_MOST = 7 * 24 * 3600,
	SIGNALLED = 128,
	COMPLAINT_MS = 1000
};

static const char usage[] =
    "usage: torture [--seconds N] [--seed N] [--rounds N] [--kind smdish|smuf|smc] [--plant]\n"
    "               [--hold]\n"
    "  --seconds N  begin rounds for so long (60)\n"
    "  --seed N     the seed of the first round; the next ones have N + 1, N + 2, ... (random)\n"
    "  --rounds N   play at most so many rounds\n"
    "  --kind KIND  play rounds of that kind only\n"
    "  --plant      one thread takes no lock from a step on: the ledger must find it\n"
    "  --hold       after a fault, leave everything as it is until a signal comes\n"
    "SRC and BUILD in the environment name the repository and the directory of the programs.\n";

struct options {
	uint64_t seconds, seed, rounds;
	int kind; /* -1: all */
	bool has_plant, holds;
};

/* Options. */

static uint64_t
parse_number(const char *name, const char *text, uint64_t most)
{
	uint64_t value;

	if (size_parse(text, 0, most, &value) != 0)
		errx(USAGE_STATUS, "--%s: '%s' is not a number from 0 to %llu", name, text,
		    (unsigned long long)most);
	return value;
}

static int
parse_kind(const char *text)
{
	int kind;

	for (kind = 0; kind < ROUND_KINDS; kind++)
		if (strcmp(text, round_kind_name((enum round_kind)kind)) == 0)
			return kind;
	errx(USAGE_STATUS, "--kind: '%s' is none of smdish, smuf, smc", text);
}

static void
parse_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = { { "seconds", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "kind", required_argument, NULL, 'k' }, { "plant", no_argument, NULL, 'p' },
		{ "hold", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 't')
			o->seconds = parse_number("seconds", optarg, SECONDS_MOST);
		else if (c == 's')
			o->seed = parse_number("seed", optarg, UINT32_MAX);
		else if (c == 'r')
			o->rounds = parse_number("rounds", optarg, UINT32_MAX);
		else if (c == 'k')
			o->kind = parse_kind(optarg);
		else if (c == 'p')
			o->has_plant = true;
		else if (c == 'h')
			o->holds = true;
	}
	if (c == '?' || optind != argc) {
		fputs(usage, stderr);
		exit(USAGE_STATUS);
	}
}

/* Rounds. */

/* True when this process and its children may have a disk that nobody else sees. */
static bool
enter_own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Until the process that complains has written what it says. */
static void
await_complaint(const struct ledger *l)
{
	uint64_t deadline = patience_until(COMPLAINT_MS);

	while (atomic_load(&l->is_complained) != LEDGER_IS_WRITTEN && clock_now() < deadline)
		patience_breathe();
}

static void
report_fault(const struct ledger *l, const struct round *r, const struct options *o)
{
	char text[ROUND_TEXT_SIZE];

	await_complaint(l);
	fprintf(stderr, "torture: FAULT: %s\n", l->complaint);
	fprintf(stderr, "torture: in round %lu: %s\n", (unsigned long)r->seed,
	    round_describe(r, text));
	fprintf(stderr, "torture: what the adversary did last:\n");
	ledger_show_deeds(l);
	fprintf(stderr,
	    "torture: the same choices again: make check-torture SEED=%lu SECONDS=%lu%s\n",
	    (unsigned long)r->seed, (unsigned long)o->seconds, o->has_plant ? " PLANT=1" : "");
}

static void
report_counts(const struct ledger *l, const unsigned rounds[ROUND_KINDS])
{
	static const char *const names[LEDGER_COUNTS] = { "sections published", "read",
		"locks not granted", "waits interrupted", "upgrades", "downgrades",
		"lives of files", "waits closed", "forks", "void handles in children",
		"processes killed", "died inside", "stops", "server restarts", "calls cut off",
		"lies", "calls that found lies", "calls on a full disk", "readers beside readers",
		"leases that were over", "calls at a limit",
		"processes that closed all descriptors", "calls without descriptors" };
	unsigned i;

	printf("torture: no fault in %u rounds of smdish, %u of smuf, %u of smc:\n    ", rounds[0],
	    rounds[1], rounds[2]);
	for (i = 0; i < LEDGER_COUNTS; i++)
		printf("%s%lu %s",
		    i == 0         ? "" :
			i % 5 == 0 ? ",\n    " :
				     ", ",
		    (unsigned long)atomic_load(&l->counts[i]), names[i]);
	printf("\n");
}

/* Returns the exit status. */
static int
play_rounds(const struct options *o)
{
	struct pki pki;
	struct ledger *l = ledger_create();
	struct game_options g = { .pki = &pki, .has_plant = o->has_plant };
	uint64_t deadline = clock_after_ms(clock_now(), o->seconds * 1000), seed;
	unsigned rounds[ROUND_KINDS] = { 0 };
	char text[ROUND_TEXT_SIZE];
	uint64_t played = 0;
	struct round r;

	if (l == NULL)
		err(EXIT_FAILURE, "the ledger");
	l->holds = o->holds;
	g.can_mount = enter_own_mounts();
	if (!g.can_mount)
		printf("torture: no full disk, which needs the right to mount a tmpfs\n");
	pki_create(&pki);
	for (seed = o->seed; clock_now() < deadline && played < o->rounds; seed++) {
		round_draw(&r, seed);
		if (o->kind >= 0 && r.kind != (enum round_kind)o->kind)
			continue;
		printf("%lu: %s\n", (unsigned long)seed, round_describe(&r, text));
		if (!game_play(&r, l, &g)) {
			report_fault(l, &r, o);
			if (o->holds)
				pause();
			return EXIT_FAILURE;
		}
		rounds[r.kind]++;
		played++;
	}
	report_counts(l, rounds);
	return EXIT_SUCCESS;
}

/* The supervisor. */

/* Begins the process that plays, in a process group of its own. */
static pid_t
begin(const struct options *o, const sigset_t *signals)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == -1)
		err(EXIT_FAILURE, "fork");
	if (pid != 0) {
		(void)setpgid(pid, pid);
		return pid;
	}
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_UNBLOCK, signals, NULL);
	exit(play_rounds(o));
}

/* Waits for the end of that process, or for a signal. Returns the exit status. */
static int
supervise(pid_t pid, const sigset_t *signals)
{
	int signal_number, status;
	pid_t ended;

	for (;;) {
		signal_number = sigwaitinfo(signals, NULL);
		if (signal_number == SIGINT || signal_number == SIGTERM)
			return SIGNALLED + signal_number;
		/* Children of killed players come to this process. */
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
			if (ended == pid)
				return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
	}
}

/* All processes are in one group. */
static void
end_all(pid_t pid)
{
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

int
main(int argc, char **argv)
{
	struct options o = { .seconds = SECONDS,
		.seed = clock_now() % 1000000,
		.rounds = UINT64_MAX,
		.kind = -1 };
	char directory[SCRATCH_PATH_SIZE];
	sigset_t signals;
	pid_t pid;
	int status;

	setlinebuf(stdout);
	parse_options(&o, argc, argv);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	printf("torture: seed %lu\n", (unsigned long)o.seed);
	scratch_create(directory);
	setenv("TMPDIR", directory, 1);
	pid = begin(&o, &signals);
	status = supervise(pid, &signals);
	end_all(pid);
	/* Blocked in rm(1), too: it must end. */
	scratch_remove(directory);
	return status;
}
