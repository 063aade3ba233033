#include "common/base/eintr.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stddef.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { LOOK_MS = 1 }; /* the length of a wait that is not worth looking at all handlers */

void
eintr_begin(struct eintr *e)
{
	e->look_at = clock_after_ms(clock_now(), LOOK_MS);
	e->has_looked = e->has_ending = e->has_restarting = false;
}

/* True for signals that the code itself causes: if they are blocked then, the process dies. */
static bool
is_fault(int number)
{
	return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
	    number == SIGTRAP || number == SIGSYS;
}

/* Sorts the signals that have handlers and are not blocked. */
static void
look(struct eintr *e)
{
	sigset_t restarting;
	struct sigaction action;
	int number;

	e->has_looked = true;
	(void)sigemptyset(&e->ending);
	(void)sigemptyset(&restarting);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &e->before);
	for (number = 1; number < NSIG; number++) {
		if (is_fault(number) || sigismember(&e->before, number) != 0 ||
		    sigaction(number, NULL, &action) != 0 || action.sa_handler == SIG_DFL ||
		    action.sa_handler == SIG_IGN)
			continue;
		(void)sigaddset((action.sa_flags & SA_RESTART) != 0 ? &restarting : &e->ending,
		    number);
	}
	e->has_ending = sigisemptyset(&e->ending) == 0;
	e->has_restarting = sigisemptyset(&restarting) == 0;
	if (!e->has_ending)
		return;
	(void)sigorset(&e->awake, &e->before, &e->ending);
	(void)sigorset(&e->asleep, &e->before, &restarting);
	(void)pthread_sigmask(SIG_SETMASK, &e->awake, NULL);
}

void
eintr_end(struct eintr *e)
{
	if (e->has_ending)
		(void)pthread_sigmask(SIG_SETMASK, &e->before, NULL);
}

/* When the next sleep ends at the latest. */
static uint64_t
sleep_end(struct eintr *e, uint64_t now, uint64_t until)
{
	uint64_t slice = CLOCK_NEVER;

	if (!e->has_looked && now >= e->look_at)
		look(e);
	if (!e->has_looked)
		slice = e->look_at;
	else if (e->has_ending && e->has_restarting)
		slice = clock_after_ms(now, EINTR_SLICE_MS);
	return slice < until ? slice : until;
}

/* A handler has run in a sleep. Returns -EINTR or 0. */
static int
judge(struct eintr *e)
{
	bool is_known = e->has_looked;

	if (!is_known)
		look(e);
	return e->has_ending && (is_known || !e->has_restarting) ? -EINTR : 0;
}

/* One sleep of poll(2). Returns 1 when it is ready, 0 when it is not, -EINTR, ... */
static int
poll_once(struct eintr *e, struct pollfd *p, uint64_t now, uint64_t end)
{
	struct timespec left;
	int n;

	if (end != CLOCK_NEVER)
		left = clock_timespec(end > now ? end - now : 0);
	n = ppoll(p, p != NULL, end != CLOCK_NEVER ? &left : NULL,
	    e->has_ending ? &e->asleep : NULL);
	if (n < 0)
		return errno == EINTR ? judge(e) : -errno;
	return n;
}

int
eintr_poll(struct eintr *e, struct pollfd *p, uint64_t until)
{
	uint64_t now = clock_now();
	int n;

	do {
		n = poll_once(e, p, now, sleep_end(e, now, until));
		now = clock_now();
	} while (n == 0 && now < until);
	if (n < 0)
		return n;
	return n > 0 ? 0 : -ETIMEDOUT;
}

/* One sleep on a futex. Returns 0 or a negative errno. */
static int
wait_once(const _Atomic uint32_t *futex, int operation, uint32_t seen, uint32_t bits, uint64_t end)
{
	struct timespec ts;

	if (end != CLOCK_NEVER)
		ts = clock_timespec(end);
	if (syscall(SYS_futex, futex, operation, seen, end != CLOCK_NEVER ? &ts : NULL, NULL,
		bits) == 0 ||
	    errno == EAGAIN)
		return 0;
	return -errno;
}

/* True when a signal that ends the wait has come between two sleeps. */
static bool
has_signal(const struct eintr *e)
{
	sigset_t signals;

	(void)sigpending(&signals);
	(void)sigandset(&signals, &signals, &e->ending);
	return sigisemptyset(&signals) == 0;
}

/*
 * True when nobody but this thread would have had the signals that are blocked now: the kernel
 * gives those of the process to its main thread, if that does not block them.
 */
static bool
may_hold_back(void)
{
	return __libc_single_threaded != 0 || gettid() != getpid();
}

/* Sleeps until end. A signal that ends the wait stays pending for the look after it. */
static int
sleep_through(const _Atomic uint32_t *futex, int operation, uint32_t seen, uint32_t bits,
    uint64_t end)
{
	int error = wait_once(futex, operation, seen, bits, end);

	/* A handler with SA_RESTART has run. */
	return error == -EINTR ? 0 : error;
}

/* Sleeps until end, with the mask of the program. */
static int
sleep_open(struct eintr *e, const _Atomic uint32_t *futex, int operation, uint32_t seen,
    uint32_t bits, uint64_t end)
{
	int error;

	if (e->has_ending)
		(void)pthread_sigmask(SIG_SETMASK, &e->asleep, NULL);
	error = wait_once(futex, operation, seen, bits, end);
	if (e->has_ending)
		(void)pthread_sigmask(SIG_SETMASK, &e->awake, NULL);
	return error == -EINTR ? judge(e) : error;
}

/* One sleep of a wait that signals may end, from now until end. */
static int
sleep_once(struct eintr *e, const _Atomic uint32_t *futex, int operation, uint32_t seen,
    uint32_t bits, uint64_t now, uint64_t end)
{
	if (e->has_ending && has_signal(e))
		return -EINTR;
	if (e->has_ending && end <= clock_after_ms(now, EINTR_SLICE_MS) && may_hold_back())
		return sleep_through(futex, operation, seen, bits, end);
	return sleep_open(e, futex, operation, seen, bits, end);
}

int
eintr_futex(struct eintr *e, const _Atomic uint32_t *futex, int operation, uint32_t seen,
    uint32_t bits, uint64_t until)
{
	uint64_t now, end;
	int error;

	if (e == NULL) {
		error = wait_once(futex, operation, seen, bits, until);
		return error == -EINTR ? 0 : error;
	}
	now = clock_now();
	end = sleep_end(e, now, until);
	error = sleep_once(e, futex, operation, seen, bits, now, end);
	return error == -ETIMEDOUT && end < until ? 0 : error;
}
