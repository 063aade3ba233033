/*
 * test_protocol: runs the scripts of this folder against the server's core and against the daemons.
 *
 *	test_protocol [-s SMDISHSERVER -u SMUFSERVER] [-p PEER] [-t TEXT] [SCRIPT ...]
 *
 * Without the programs, and without $BUILD, only the core is tested. -p names one peer (core,
 * bytewise, plain, "TLS 1.2", "TLS 1.3", and the same behind "smuf "), and PROTOCOL=short in the
 * environment of the daemons' only those with TLS 1.3; -t runs the tests whose names contain TEXT.
 * The scripts are those below $SRC/tests/protocol (SRC: here), unless some are
 * named. The peers run beside each other, a process each. A failure is printed at once; at the end,
 * one line a test names the peers with which it passed. The exit status is 1 if any test failed.
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/protocol/peer.h"
#include "tests/protocol/script.h"

static const struct peer *const peers[] = { &peer_core, &peer_core_bytewise, &peer_plain,
	&peer_tls12, &peer_tls13, &peer_smuf_core, &peer_smuf_core_bytewise, &peer_smuf_plain,
	&peer_smuf_tls12, &peer_smuf_tls13 };
enum { PEER_COUNT = sizeof peers / sizeof peers[0], PATH_SIZE = 4096 };

static const char *only_peer, *only_text;
static bool has_daemon, is_short;

struct title {
	const struct script *script;
	size_t test;
	char file[64];
};

static struct title *titles; /* of all tests of all scripts */
static size_t title_count;

/* What came of each test. The processes of the peers write it, and the first process reads it. */
enum outcome { NOT_RUN, PASSED, FAILED };
typedef uint8_t outcomes_of_test[PEER_COUNT];
static outcomes_of_test *outcomes;

static bool
is_wanted(const struct peer *peer)
{
	bool suits = !is_short || strstr(peer->name, "TLS 1.3") != NULL;

	return (peer->is_core || (has_daemon && suits)) &&
	    (only_peer == NULL || strcmp(only_peer, peer->name) == 0);
}

/* Takes over the tests of a script. Returns false after saying why there are none. */
static bool
add_script(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *file = slash == NULL ? path : slash + 1;
	struct script *s;
	size_t before = title_count, test;
	int r;

	r = script_load(&s, path);
	if (r != 0) {
		printf("FAIL %s: %s\n", path,
		    r == -EINVAL ? "there is no test in it" : strerror(-r));
		return false;
	}
	titles = realloc(titles, (title_count + script_test_count(s)) * sizeof *titles);
	if (titles == NULL)
		abort();
	for (test = 0; test < script_test_count(s); test++) {
		struct title *title = &titles[title_count];

		if (only_text != NULL && strstr(script_test_name(s, test), only_text) == NULL)
			continue;
		*title = (struct title){ .script = s, .test = test };
		snprintf(title->file, sizeof title->file, "%.*s", (int)strcspn(file, "."), file);
		title_count++;
	}
	if (title_count == before)
		script_free(s);
	return true;
}

static bool
add_all_scripts(const char *source)
{
	char pattern[4096];
	bool ok = true;
	glob_t found;
	size_t i;

	snprintf(pattern, sizeof pattern, "%s/tests/protocol/*.script", source);
	if (glob(pattern, 0, NULL, &found) != 0) {
		printf("FAIL %s: no scripts\n", pattern);
		return false;
	}
	for (i = 0; i < found.gl_pathc; i++)
		ok = add_script(found.gl_pathv[i]) && ok;
	globfree(&found);
	return ok;
}

/* Runs all tests that suit a peer and stops its server. Returns the exit status of its process. */
static int
run_peer(size_t number)
{
	const struct peer *peer = peers[number];
	char failure[SCRIPT_FAILURE_SIZE], reason[PEER_REASON_SIZE];
	size_t i;

	for (i = 0; i < title_count; i++) {
		const struct title *t = &titles[i];

		if (!script_suits(t->script, t->test, peer))
			continue;
		outcomes[i][number] = script_run(t->script, t->test, peer, failure) ? PASSED :
										      FAILED;
		if (outcomes[i][number] == PASSED)
			continue;
		printf("FAIL %s: %s (%s)\n%s\n", t->file, script_test_name(t->script, t->test),
		    peer->name, failure);
		fflush(stdout);
	}
	if (peer->finish(reason))
		return EXIT_SUCCESS;
	printf("FAIL %s: at the end: %s\n", peer->name, reason);
	return EXIT_FAILURE;
}

/* The peers run beside each other, each in a process of its own, as they wait most of the time. */
static bool
run_peers(void)
{
	pid_t pids[PEER_COUNT];
	bool ok = true;
	size_t i;
	int status;

	fflush(stdout);
	for (i = 0; i < PEER_COUNT; i++) {
		pids[i] = is_wanted(peers[i]) ? fork() : 0;
		if (pids[i] == 0 && is_wanted(peers[i]))
			exit(run_peer(i));
	}
	for (i = 0; i < PEER_COUNT; i++) {
		if (pids[i] == 0)
			continue;
		if (pids[i] < 0 || waitpid(pids[i], &status, 0) != pids[i] || status != 0) {
			printf("FAIL %s: its process did not end well\n", peers[i]->name);
			ok = false;
		}
	}
	return ok;
}

/* Prints a line for each test that passed with all its peers. Returns how many did not. */
static unsigned
report(unsigned *passed)
{
	unsigned failed = 0;
	size_t test, i;

	for (test = 0; test < title_count; test++) {
		const struct title *t = &titles[test];
		char went_well[256] = "";
		bool ok = true;
		size_t used = 0;

		for (i = 0; i < PEER_COUNT; i++) {
			ok = ok && outcomes[test][i] != FAILED;
			if (outcomes[test][i] == PASSED)
				used += (size_t)snprintf(went_well + used, sizeof went_well - used,
				    "%s%s", used > 0 ? ", " : "", peers[i]->name);
		}
		if (ok && used > 0)
			printf("ok   %s: %s (%s)\n", t->file, script_test_name(t->script, t->test),
			    went_well);
		*passed += ok && used > 0;
		failed += !ok;
	}
	return failed;
}

/* Writes the path of the named program, or of that of the build. */
static void
find_program(char out[PATH_SIZE], const char *named, const char *build, const char *name)
{
	if (named != NULL)
		snprintf(out, PATH_SIZE, "%s", named);
	else
		snprintf(out, PATH_SIZE, "%s/%s", build, name);
}

int
main(int argc, char **argv)
{
	const char *build = getenv("BUILD"), *source = getenv("SRC"), *form = getenv("PROTOCOL");
	const char *smdish = NULL, *smuf = NULL;
	static char smdish_path[PATH_SIZE], smuf_path[PATH_SIZE], mkpki_path[PATH_SIZE];
	unsigned passed = 0, failed;
	bool ok = true;
	int option;

	while ((option = getopt(argc, argv, "s:u:p:t:")) != -1) {
		switch (option) {
		case 's':
			smdish = optarg;
			break;
		case 'u':
			smuf = optarg;
			break;
		case 'p':
			only_peer = optarg;
			break;
		case 't':
			only_text = optarg;
			break;
		default:
			fprintf(stderr,
			    "usage: %s [-s SMDISHSERVER -u SMUFSERVER] [-p PEER] [-t TEXT] "
			    "[SCRIPT ...]\n",
			    argv[0]);
			return 2;
		}
	}
	if (source == NULL)
		source = ".";
	is_short = form != NULL && strcmp(form, "short") == 0;
	if ((smdish != NULL && smuf != NULL) || build != NULL) {
		find_program(smdish_path, smdish, build, "smdishserver");
		find_program(smuf_path, smuf, build, "smufserver");
		snprintf(mkpki_path, sizeof mkpki_path, "%s/deploy/mkpki", source);
		peer_socket_configure(smdish_path, smuf_path, mkpki_path);
		has_daemon = true;
	}
	log_open("test_protocol", NULL, LOG_LEVEL_NONE);
	signal(SIGPIPE, SIG_IGN);
	if (optind == argc)
		ok = add_all_scripts(source);
	for (; optind < argc; optind++)
		ok = add_script(argv[optind]) && ok;
	outcomes = mmap(NULL, (title_count + 1) * sizeof *outcomes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcomes == MAP_FAILED)
		abort();
	ok = run_peers() && ok;
	failed = report(&passed);
	printf("%u passed, %u failed\n", passed, failed);
	return ok && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
