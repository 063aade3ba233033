#include "tests/torture/handles.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/client/smclient.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"

int
handles_init(struct handles *h, const struct stage *s)
{
	memset(h, 0, sizeof *h);
	pthread_mutex_init(&h->lock, NULL);
	h->sm = stage_mount(s);
	view_init(&h->views, h->sm);
	return h->sm == NULL ? -1 : 0;
}

void
handles_fini(struct handles *h)
{
	sm_free(h->sm);
	h->sm = NULL;
}

void
handles_lock(struct handles *h)
{
	pthread_mutex_lock(&h->lock);
}

void
handles_unlock(struct handles *h)
{
	pthread_mutex_unlock(&h->lock);
}

void
handles_inherit(struct handles *h)
{
	unsigned i;

	/* Their owners are threads of the parent. */
	pthread_mutex_init(&h->lock, NULL);
	view_init(&h->views, h->sm);
	memset(h->waiters, 0, sizeof h->waiters);
	for (i = 0; i < HANDLES_MOST; i++) {
		struct handle *t = &h->table[i];

		if (t->state == HANDLES_MOVES)
			t->state = HANDLES_FREE;
		t->users = 0;
		t->is_closed = false;
		atomic_store(&t->view.view, NULL);
		t->view.is_inherited = true;
	}
}

/* Returns the error of opening. */
static int
open_file(struct actor *a, struct handle *t)
{
	int flags = SM_OPEN_CREATE | (t->is_owner ? SM_OPEN_OWNER : 0);
	char path[STAGE_PATH_SIZE];

	stage_path(t->number, t->generation, path);
	ledger_call(&a->seat, "sm_open_flags");
	t->file = t->view.file = sm_open_flags(a->handles->sm, path, flags);
	ledger_return(&a->seat);
	return t->file == NULL ? errno : 0;
}

/* Finds the book of the file's life. Returns the error of asking for it. */
static int
find_book(struct actor *a, struct handle *t)
{
	struct sm_stat st;
	int error;

	ledger_call(&a->seat, "sm_stat");
	error = sm_stat(t->file, &st) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	if (error == 0)
		t->book = ledger_book(a->seat.ledger, t->number, st.life);
	return error;
}

static void
close_file(struct actor *a, struct handle *t)
{
	int error;

	ledger_call(&a->seat, "sm_close");
	error = sm_close(t->file) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	if (error != 0)
		(void)actor_judge(a, ACTOR_CLOSE, error, t->view.is_inherited);
}

static void
set_state(struct handles *h, struct handle *t, enum handles_state state)
{
	handles_lock(h);
	t->state = state;
	handles_unlock(h);
}

void
handles_close(struct actor *a, struct handle *t)
{
	close_file(a, t);
	atomic_store(&t->is_gone, true);
	view_put(a, &a->handles->views, &t->view);
	handles_lock(a->handles);
	if (--t->users == 0)
		t->state = HANDLES_FREE;
	handles_unlock(a->handles);
}

/* It is in HANDLES_MOVES, for this thread. Returns NULL when it cannot be opened now. */
static struct handle *
open_handle(struct actor *a, struct handle *t)
{
	int error = open_file(a, t);

	if (error != 0) {
		(void)actor_judge(a, ACTOR_OPEN, error, false);
		set_state(a->handles, t, HANDLES_FREE);
		return NULL;
	}
	error = find_book(a, t);
	if (error != 0)
		(void)actor_judge(a, ACTOR_STAT, error, false);
	if (error != 0 || t->book == NULL) {
		handles_close(a, t);
		return NULL;
	}
	set_state(a->handles, t, HANDLES_OPEN);
	return t;
}

static bool
is_current(const struct actor *a, const struct handle *t)
{
	return t->generation == atomic_load(&a->seat.ledger->generation) && !t->is_lost;
}

/* With the lock of the table. Others of an owner's users might lock with it. */
static bool
may_lock(const struct handle *t)
{
	return !t->is_owner || t->users == 0;
}

/* With the lock of the table: an open handle of the memory file, from the place at on. */
static struct handle *
find_open(struct actor *a, unsigned number, unsigned at, bool to_lock)
{
	unsigned i;

	for (i = 0; i < HANDLES_MOST; i++) {
		struct handle *t = &a->handles->table[(at + i) % HANDLES_MOST];

		if (t->state == HANDLES_OPEN && t->number == number && is_current(a, t) &&
		    (!to_lock || may_lock(t)))
			return t;
	}
	return NULL;
}

/* With the lock of the table: a place for a new one. */
static struct handle *
find_free(struct actor *a, unsigned number, bool is_owner)
{
	unsigned i;

	for (i = 0; i < HANDLES_MOST; i++) {
		struct handle *t = &a->handles->table[i];

		if (t->state != HANDLES_FREE)
			continue;
		memset(t, 0, sizeof *t);
		t->state = HANDLES_MOVES;
		t->number = number;
		t->is_owner = is_owner;
		t->users = 1;
		t->view.size = a->round->sizes[number];
		t->generation = atomic_load(&a->seat.ledger->generation);
		return t;
	}
	return NULL;
}

/* Closes a handle of an old name that nobody has taken. */
static void
close_old(struct actor *a)
{
	struct handle *old = NULL;
	unsigned i;

	handles_lock(a->handles);
	for (i = 0; i < HANDLES_MOST && old == NULL; i++) {
		struct handle *t = &a->handles->table[i];

		if (t->state == HANDLES_OPEN && t->users == 0 && !is_current(a, t))
			old = t;
	}
	if (old != NULL) {
		old->state = HANDLES_MOVES;
		old->users = 1;
	}
	handles_unlock(a->handles);
	if (old != NULL)
		handles_close(a, old);
}

struct handle *
handles_take(struct actor *a, unsigned number, bool to_lock)
{
	unsigned at = (unsigned)choice_draw(&a->choice, HANDLES_MOST);
	bool is_new = choice_happens(&a->choice, 10), is_owner = choice_happens(&a->choice, 30);
	struct handle *t = NULL, *fresh = NULL;

	close_old(a);
	handles_lock(a->handles);
	if (!is_new)
		t = find_open(a, number, at, to_lock);
	if (t != NULL)
		t->users++;
	else
		fresh = find_free(a, number, is_owner);
	handles_unlock(a->handles);
	if (fresh != NULL)
		t = open_handle(a, fresh);
	if (t != NULL && view_segment(&t->view) == NULL &&
	    view_get(a, &a->handles->views, &t->view)) {
		handles_give(a, t, true);
		return NULL;
	}
	return t;
}

void
handles_give(struct actor *a, struct handle *t, bool is_lost)
{
	bool closes;

	handles_lock(a->handles);
	t->is_lost |= is_lost;
	closes = t->users == 1 && t->is_lost && !t->is_closed;
	if (closes)
		t->state = HANDLES_MOVES;
	else if (--t->users == 0 && t->is_closed)
		t->state = HANDLES_FREE;
	handles_unlock(a->handles);
	if (closes)
		handles_close(a, t);
}

/* Closing. */

static struct handles_waiter *
own_place(struct actor *a)
{
	return &a->handles->waiters[a->seat.thread - a->seat.process->threads];
}

void
handles_wait(struct actor *a, const struct handle *t)
{
	handles_lock(a->handles);
	*own_place(a) = (struct handles_waiter){ t, a->tid };
	handles_unlock(a->handles);
}

bool
handles_waited(struct actor *a, const struct handle *t)
{
	bool is_there;

	handles_lock(a->handles);
	own_place(a)->handle = NULL;
	is_there = !t->is_closed;
	handles_unlock(a->handles);
	/* The call may have got the lock before the other thread closed the handle with it. */
	while (!is_there && !atomic_load(&t->is_gone))
		patience_breathe();
	return is_there;
}

/*
 * True when the thread sleeps, but not until it gets a mutex: then it may not have come to the wait
 * for the lock yet, and might call with a handle that is gone.
 */
static bool
is_waiting(pid_t tid)
{
	unsigned long number = 0, address, op = 0;
	char path[64];
	FILE *f;
	int n = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)tid);
	f = procfs_state(tid) == 'S' ? fopen(path, "re") : NULL;
	if (f != NULL) {
		n = fscanf(f, "%lu 0x%lx 0x%lx", &number, &address, &op);
		fclose(f);
	}
	return n == 3 && (number != SYS_futex || op != FUTEX_WAIT_PRIVATE);
}

/* With the lock of the table: how many threads wait for the lock with this handle. */
static unsigned
count_waiting(const struct handles *h, const struct handle *t)
{
	unsigned count = 0, i;

	for (i = 0; i < ROUND_THREADS_MOST; i++)
		count += h->waiters[i].handle == t && is_waiting(h->waiters[i].tid);
	return count;
}

bool
handles_claim(struct actor *a, struct handle *t, bool is_waited)
{
	bool is_claimed;

	handles_lock(a->handles);
	is_claimed = t->users == 1;
	if (is_waited && t->users > 1 && count_waiting(a->handles, t) == t->users - 1)
		is_claimed = t->is_closed = true;
	if (is_claimed)
		t->state = HANDLES_MOVES;
	if (t->is_closed)
		ledger_add(a->seat.ledger, LEDGER_CLOSED);
	handles_unlock(a->handles);
	return is_claimed;
}
