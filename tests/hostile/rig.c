#include "tests/hostile/rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/hostile/report.h"
#include "tests/stress/client.h"
#include "tests/stress/patience.h"
#include "tests/stress/pki.h"

enum {
	CALM_MS = 500, /* and in the full form */
	CALM_FULL_MS = 2000,
	ATTACK_MS = 1200,
	ATTACK_FULL_MS = 5000,
	AFTERMATH_MS = 300,
	END_MS = 8 * 1000,        /* of the attackers, and of the last wait */
	GIVE_BACK_MS = 60 * 1000, /* memory */
	GIVE_BACK_TOLERANCE = 4 * SIZE_MIB,
	LOOKS = 4, /* at the attackers' end, within their time */
	LOOK_MS = 10,
	IDLE_LOOK_MS = 500,
	IDLE_CPU_MS = 50, /* used meanwhile */
	ATTACKS_MOST = 32,
	FILES = 8192 /* open files of an attacker */
};

static struct pki keys; /* of all tests of the program */
static struct rig rig;  /* of the running one */

bool
rig_is_full(void)
{
	const char *form = getenv("HOSTILE");

	return form != NULL && strcmp(form, "full") == 0;
}

bool
rig_is_on(const struct rig *r)
{
	return clock_now() < r->until && !atomic_load(&r->shared->is_over);
}

void
rig_restart(struct rig *r)
{
	r->until = clock_after_ms(clock_now(), rig_is_full() ? ATTACK_FULL_MS : ATTACK_MS);
}

/* The steps of a test. */

static void
start_server(struct rig *r, bool is_smuf)
{
	struct daemon_config config = r->attack->config;

	config.is_smuf = is_smuf;
	config.pki = &keys;
	config.tcp_host = "127.0.0.1";
	daemon_open(&r->daemon, &config);
}

static void
start_honest(struct rig *r)
{
	struct rig_shared *s = r->shared;
	uint64_t deadline;

	r->resident = honest_begin_resident(&s->resident, &r->daemon);
	r->newcomer = honest_begin_newcomer(&s->newcomer, &r->daemon);
	deadline = patience_until(PATIENCE_MS);
	while (atomic_load(&s->resident.waits[HONEST_CALM].count) == 0 ||
	    atomic_load(&s->newcomer.waits[HONEST_CALM].count) == 0) {
		child_expect_no_complaint(&s->resident.complaint);
		child_expect_no_complaint(&s->newcomer.complaint);
		if (clock_now() > deadline)
			fail_msg("the honest clients are not served before the attack");
		patience_breathe();
	}
}

static void
set_phase(struct rig *r, enum honest_phase phase)
{
	atomic_store(&r->shared->resident.phase, (int)phase);
	atomic_store(&r->shared->newcomer.phase, (int)phase);
}

/* In the attackers' process, which a failed assertion ends instead of the test. */
static void
run_attack(struct rig *r)
{
	const struct rlimit files = { FILES, FILES }, none = { 0, 0 };

	setenv("CMOCKA_TEST_ABORT", "1", 1);
	setrlimit(RLIMIT_CORE, &none);
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	r->attack->run(r);
	_exit(EXIT_SUCCESS);
}

/* Waits for a process to end, and forgets it. Returns its wait status, or -1 at the deadline. */
static int
await_end(pid_t *pid, uint64_t deadline)
{
	int status;

	while (waitpid(*pid, &status, WNOHANG) == 0) {
		if (clock_now() > deadline)
			return -1;
		patience_breathe();
	}
	*pid = -1;
	return status;
}

/* Waits for the attackers; the machine may have become busier since they began. */
static int
await_attacker(struct rig *r)
{
	uint64_t begun = clock_now();
	uint64_t limit_ms = (r->until > begun ? (r->until - begun) / CLOCK_MS : 0) + END_MS +
	    r->attack->prepares_ms;
	int status;

	do
		status = await_end(&r->attacker, patience_until(limit_ms / LOOKS));
	while (status == -1 && !patience_is_over(clock_now() - begun, limit_ms));
	return status;
}

static void
attack(struct rig *r)
{
	size_t mark = daemon_log_mark(&r->daemon);
	int status;

	procfs_reset_peak(r->daemon.pid);
	r->calm = procfs_usage(r->daemon.pid);
	set_phase(r, HONEST_ATTACKED);
	rig_restart(r);
	r->attacker = child_begin();
	if (r->attacker == 0)
		run_attack(r);
	status = await_attacker(r);
	poll(NULL, 0, AFTERMATH_MS + (rig_is_full() ? (int)r->attack->lingers_ms : 0));
	r->log = daemon_log_mark(&r->daemon) - mark;
	report_complaint("an attacker", &r->shared->complaint);
	if (status != 0 && !atomic_load(&r->shared->complaint.is_made))
		report_fault("the attackers: expected exit status 0, got wait status 0x%x",
		    (unsigned)status);
}

/* Tells an honest client to end; its present wait may last for a while. */
static void
stop_honest(const char *who, struct honest *h, pid_t *pid)
{
	atomic_store(&h->is_over, true);
	(void)await_end(pid, patience_until(END_MS));
	child_kill_all(pid, 1);
	honest_give_up(h, HONEST_ATTACKED);
	report_complaint(who, &h->complaint);
}

/* Looks until the server has given its memory back. */
static void
await_memory(struct rig *r)
{
	uint64_t deadline = patience_until(GIVE_BACK_MS);
	int64_t most = r->calm.memory + r->calm.memory / 10 + GIVE_BACK_TOLERANCE, now;

	if (patience_is_sanitized())
		return;
	while ((now = procfs_usage(r->daemon.pid).memory) > most && clock_now() < deadline)
		poll(NULL, 0, LOOK_MS);
	if (now > most)
		report_fault("a minute later the server has %ld KiB, it had %ld KiB",
		    (long)now / 1024, (long)r->calm.memory / 1024);
}

/* Looks until the server sleeps. */
static void
await_idleness(struct rig *r)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int64_t before, used;

	do {
		before = procfs_usage(r->daemon.pid).cpu_ms;
		poll(NULL, 0, IDLE_LOOK_MS);
		used = procfs_usage(r->daemon.pid).cpu_ms - before;
	} while (used > IDLE_CPU_MS && clock_now() < deadline);
	if (used > IDLE_CPU_MS)
		report_fault("the server is not idle: %ld ms of processor time in %d ms",
		    (long)used, IDLE_LOOK_MS);
}

/* A SIGTERM ends the server soon, with 0. */
static void
end_server(struct rig *r)
{
	uint64_t begun = clock_now();
	int status;

	daemon_signal(&r->daemon, SIGTERM);
	status = await_end(&r->daemon.pid, patience_until(2 * RIG_STOP_MS));
	if (status != 0)
		report_fault("SIGTERM: expected exit status 0, got wait status 0x%x",
		    (unsigned)status);
	else if (patience_is_over(clock_now() - begun, RIG_STOP_MS))
		report_fault("SIGTERM: the server needed %ld ms",
		    (long)((clock_now() - begun) / CLOCK_MS));
}

/* False when the server has died. */
static bool
is_alive(struct rig *r)
{
	int status;

	if (waitpid(r->daemon.pid, &status, WNOHANG) == 0)
		return true;
	r->daemon.pid = -1;
	report_fault("the server has died, wait status 0x%x", (unsigned)status);
	return false;
}

/* What needs a server that lives. */
static void
judge_server(struct rig *r)
{
	r->peak = procfs_usage(r->daemon.pid).peak - r->calm.peak;
	if (r->attack->check != NULL)
		r->attack->check(r);
	if (rig_is_full() || r->attack->lingers_ms == 0)
		await_memory(r);
	await_idleness(r);
	end_server(r);
}

static void
run_one(struct rig *r, const struct rig_attack *a, bool is_smuf)
{
	*r = (struct rig){ .attack = a, .resident = -1, .newcomer = -1, .attacker = -1 };
	r->shared = child_share(sizeof *r->shared);
	report_begin();
	start_server(r, is_smuf);
	start_honest(r);
	poll(NULL, 0, rig_is_full() ? CALM_FULL_MS : CALM_MS);
	attack(r);
	stop_honest("the resident", &r->shared->resident, &r->resident);
	stop_honest("the newcomer", &r->shared->newcomer, &r->newcomer);
	if (is_alive(r))
		judge_server(r);
	report_judge(r);
	report_end(r);
}

/* cmocka's side. */

/* One test of the list: an attack and its daemon. */
struct pair {
	const struct rig_attack *attack;
	bool is_smuf;
	char name[128];
};

static void
run_pair(void **state)
{
	const struct pair *p = *state;

	run_one(&rig, p->attack, p->is_smuf);
}

/* Leaves nothing, also after a failed test. */
static int
clear(void **state)
{
	(void)state;
	child_kill_all(&rig.attacker, 1);
	child_kill_all(&rig.newcomer, 1);
	child_kill_all(&rig.resident, 1);
	daemon_fini(&rig.daemon);
	return 0;
}

static int
make_keys(void **state)
{
	(void)state;
	pki_create(&keys);
	pki_add(&keys, "client", RIG_ATTACKER_CERTIFICATE, NULL, NULL);
	return 0;
}

static int
remove_keys(void **state)
{
	(void)state;
	pki_destroy(&keys);
	return 0;
}

int
rig_main(const char *name, const struct rig_attack *attacks, size_t count)
{
	static struct pair pairs[ATTACKS_MOST];
	static struct CMUnitTest tests[ATTACKS_MOST];
	size_t i, n = 0;
	unsigned daemon;

	for (i = 0; i < count; i++)
		for (daemon = RIG_SMDISH; daemon <= RIG_SMUF; daemon++) {
			if ((attacks[i].daemons & daemon) == 0)
				continue;
			pairs[n] = (struct pair){ &attacks[i], daemon == RIG_SMUF, "" };
			snprintf(pairs[n].name, sizeof pairs[n].name, "%s, %s", attacks[i].name,
			    daemon == RIG_SMUF ? "smuf" : "smdish");
			tests[n] = (struct CMUnitTest){ pairs[n].name, run_pair, NULL, clear,
				&pairs[n] };
			n++;
		}
	return _cmocka_run_group_tests(name, tests, n, make_keys, remove_keys);
}
