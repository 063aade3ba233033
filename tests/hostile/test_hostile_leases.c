/*
 * A lease ends a lock that is held for too long, and no other: honest holders of short sections
 * lose none of their releases while peers keep the server busy.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "tests/hostile/peer.h"
#include "tests/hostile/report.h"
#include "tests/hostile/rig.h"
#include "tests/stress/child.h"
#include "tests/stress/patience.h"

#define LEASE_TEXT "100"

enum {
	LEASE_MS = 100,
	SECTION_MS = 5,
	/* A section that the machine makes longer than this does not count. */
	SURE_MS = LEASE_MS / 2,
	HOLDERS = 8,
	NOTE_SECTIONS = 0,
	NOTE_LOST = 1,
	NOTE_IS_OVER = 2
};

/* An honest holder: it has an ACQUIRE or a RELEASE under way, or holds the lock. */
struct holder {
	struct raw raw;
	bool is_holding, is_releasing;
	uint64_t looked_at;   /* before the grant was there: the lease began later */
	uint64_t release_at;  /* when it holds */
	uint64_t released_at; /* when it has sent its RELEASE */
	uint64_t grant;
};

static void
begin_acquire(struct holder *h)
{
	struct buf b = { 0 };

	h->is_releasing = false;
	h->looked_at = clock_now();
	peer_put_acquire(&b, 1, 0, PROTOCOL_EXCLUSIVE);
	raw_send(&h->raw, buf_data(&b), buf_size(&b));
	buf_fini(&b);
}

/* Its RELEASE is answered. */
static void
end_section(struct holder *h, struct rig *rig)
{
	bool is_sure = h->released_at - h->looked_at < SURE_MS * CLOCK_MS;

	atomic_fetch_add(&rig->shared->notes[NOTE_SECTIONS], 1);
	if (frame_untagged(h->raw.code) != 0 && is_sure)
		atomic_fetch_add(&rig->shared->notes[NOTE_LOST], 1);
	begin_acquire(h);
}

/* Its ACQUIRE is answered. */
static void
begin_section(struct holder *h)
{
	h->grant = raw_first_u64(&h->raw);
	h->is_holding = true;
	h->release_at = clock_after_ms(clock_now(), SECTION_MS);
}

static void
release(struct holder *h)
{
	h->is_holding = false;
	h->is_releasing = true;
	raw_say(&h->raw, OP_RELEASE, "wqb", (uint32_t)0, h->grant, 0);
	h->released_at = clock_now();
}

/* One look at one holder. */
static void
look(struct holder *h, struct rig *rig)
{
	uint64_t now = clock_now();

	if (h->is_holding) {
		if (now >= h->release_at)
			release(h);
		return;
	}
	raw_pump(&h->raw);
	if (h->raw.has_ended)
		fail_msg("the server ended an honest holder");
	if (buf_size(&h->raw.in) == 0) {
		if (!h->is_releasing)
			h->looked_at = now;
		return;
	}
	raw_listen(&h->raw);
	if (h->is_releasing)
		end_section(h, rig);
	else if (frame_untagged(h->raw.code) == 0)
		begin_section(h);
	else
		begin_acquire(h); /* its lease ended before the grant was written */
}

/* Each holder has a lock of its own. Never returns. */
static void
hold(struct rig *rig)
{
	static struct holder holders[HOLDERS];
	char name[32];
	int i;

	for (i = 0; i < HOLDERS; i++) {
		snprintf(name, sizeof name, "/held%d", i);
		raw_connect(&holders[i].raw, &rig->daemon);
		raw_begin(&holders[i].raw, true);
		raw_open(&holders[i].raw, name, 0);
		begin_acquire(&holders[i]);
	}
	while (atomic_load(&rig->shared->notes[NOTE_IS_OVER]) == 0) {
		for (i = 0; i < HOLDERS; i++)
			look(&holders[i], rig);
		patience_breathe();
	}
	_exit(EXIT_SUCCESS);
}

static void
hold_beside_busy_peers(struct rig *rig)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	pid_t holder = child_fork();

	if (holder == 0)
		hold(rig);
	while (atomic_load(&rig->shared->notes[NOTE_SECTIONS]) < HOLDERS && clock_now() < deadline)
		patience_breathe();
	rig_restart(rig);
	peer_leave_bodies(rig, rig->until);
	atomic_store(&rig->shared->notes[NOTE_IS_OVER], 1);
	if (!child_has_ended_well(holder))
		fail_msg("the honest holders have failed");
}

static void
expect_no_loss(struct rig *rig)
{
	unsigned long sections = atomic_load(&rig->shared->notes[NOTE_SECTIONS]);
	unsigned long lost = atomic_load(&rig->shared->notes[NOTE_LOST]);

	print_message("# %lu sections of %d ms, %lu lost their release\n", sections, SECTION_MS,
	    lost);
	if (sections < HOLDERS || lost > 0)
		report_fault(
		    "expected that no section of %d ms loses its release to a lease of %d "
		    "ms, got %lu of %lu",
		    SECTION_MS, LEASE_MS, lost, sections);
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "holders of 5 ms, leases of 100 ms",
		    .daemons = RIG_SMDISH,
		    .run = hold_beside_busy_peers,
		    .check = expect_no_loss,
		    .prepares_ms = PATIENCE_MS,
		    .memory = INT64_C(256) * SIZE_MIB,
		    .config = { .args = { "-t", LEASE_TEXT } } },
	};

	return rig_main("leases", attacks, sizeof attacks / sizeof attacks[0]);
}
