/*
 * test_protocol: runs the scripts of this folder against the server's core and against the daemons.
 *
 *	test_protocol [-s SMDISHSERVER -u SMUFSERVER] [-p PEER] [-t TEXT] [SCRIPT ...]
 *
 * Without the programs, and without $BUILD, only the core is tested. -p names one peer (core,
 * bytewise, plain, "TLS 1.2", "TLS 1.3", and the same behind "smuf "), and PROTOCOL=short in the
 * environment of the daemons' only those with TLS 1.3; -t runs the tests whose names contain TEXT.
 * The scripts are those below $SRC/tests/protocol (SRC: here), unless some are
 * named. One line a test names the peers with which it passed, or its failure; the exit status is 1
 * if any test failed.
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
static unsigned passed, failed;

static bool
is_wanted(const struct peer *peer)
{
	bool suits = !is_short || strstr(peer->name, "TLS 1.3") != NULL;

	return (peer->is_core || (has_daemon && suits)) &&
	    (only_peer == NULL || strcmp(only_peer, peer->name) == 0);
}

/* Runs one test against every peer that suits it; prints one line. */
static void
run_test(const struct script *s, size_t test, const char *title)
{
	char failure[SCRIPT_FAILURE_SIZE], went_well[256] = "";
	bool ok = true, any = false;
	size_t i, used = 0;

	for (i = 0; i < PEER_COUNT; i++) {
		if (!is_wanted(peers[i]) || !script_suits(s, test, peers[i]))
			continue;
		any = true;
		if (script_run(s, test, peers[i], failure)) {
			used += (size_t)snprintf(went_well + used, sizeof went_well - used, "%s%s",
			    used > 0 ? ", " : "", peers[i]->name);
			continue;
		}
		printf("FAIL %s: %s (%s)\n%s\n", title, script_test_name(s, test), peers[i]->name,
		    failure);
		ok = false;
	}
	if (!any)
		return;
	if (ok)
		printf("ok   %s: %s (%s)\n", title, script_test_name(s, test), went_well);
	fflush(stdout);
	passed += ok;
	failed += !ok;
}

static void
run_script(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *file = slash == NULL ? path : slash + 1;
	struct script *s;
	char title[64];
	size_t test;
	int r;

	r = script_load(&s, path);
	if (r != 0) {
		printf("FAIL %s: %s\n", path,
		    r == -EINVAL ? "there is no test in it" : strerror(-r));
		failed++;
		return;
	}
	snprintf(title, sizeof title, "%.*s", (int)strcspn(file, "."), file);
	for (test = 0; test < script_test_count(s); test++)
		if (only_text == NULL || strstr(script_test_name(s, test), only_text) != NULL)
			run_test(s, test, title);
	script_free(s);
}

static void
run_all_scripts(const char *source)
{
	char pattern[4096];
	glob_t found;
	size_t i;

	snprintf(pattern, sizeof pattern, "%s/tests/protocol/*.script", source);
	if (glob(pattern, 0, NULL, &found) != 0) {
		printf("FAIL %s: no scripts\n", pattern);
		failed++;
		return;
	}
	for (i = 0; i < found.gl_pathc; i++)
		run_script(found.gl_pathv[i]);
	globfree(&found);
}

/* Stops the servers that run; a bad end is a failure. */
static void
finish(void)
{
	char reason[PEER_REASON_SIZE];
	size_t i;

	for (i = 0; i < PEER_COUNT; i++)
		if (!peers[i]->finish(reason)) {
			printf("FAIL %s: at the end: %s\n", peers[i]->name, reason);
			failed++;
		}
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
	for (; optind < argc; optind++)
		run_script(argv[optind]);
	if (passed + failed == 0)
		run_all_scripts(source);
	finish();
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
