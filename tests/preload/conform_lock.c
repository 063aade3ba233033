#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>
#include <time.h>

#include "tests/preload/conform.h"

/* Locks the whole file, or ends the row. */
static int
locked(int type)
{
	int fd = make(O_RDWR);

	if (lock_bytes(fd, F_SETLK, type, 0, 0) != 0)
		_exit(fputs("lock", stdout));
	return fd;
}

static const char *
lock_free(void)
{
	return outcome(lock_bytes(make(O_RDWR), F_SETLK, F_WRLCK, 0, 0));
}

static const char *
lock_again(void)
{
	return outcome(lock_bytes(locked(F_WRLCK), F_SETLKW, F_WRLCK, 0, 0));
}

static const char *
lock_again_other_descriptor(void)
{
	locked(F_WRLCK);
	return outcome(lock_bytes(open(path, O_RDWR), F_SETLKW, F_WRLCK, 0, 0));
}

static const char *
lock_held_elsewhere(void)
{
	return in_child(try_write, locked(F_WRLCK));
}

static const char *
lock_not_inherited(void)
{
	return in_child(try_write, locked(F_WRLCK));
}

static const char *
readers_share(void)
{
	return in_child(try_read, locked(F_RDLCK));
}

static const char *
reader_keeps_writer_out(void)
{
	return in_child(try_write, locked(F_RDLCK));
}

static const char *
write_to_read(void)
{
	int fd = locked(F_WRLCK);

	return lock_bytes(fd, F_SETLK, F_RDLCK, 0, 0) == 0 ? in_child(try_read, fd) : outcome(-1);
}

static const char *
read_to_write(void)
{
	int fd = locked(F_RDLCK);

	return lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0) == 0 ? in_child(try_read, fd) : outcome(-1);
}

static const char *
unlocked(void)
{
	int fd = locked(F_WRLCK);

	return lock_bytes(fd, F_SETLK, F_UNLCK, 0, 0) == 0 ? in_child(try_write, fd) : outcome(-1);
}

static const char *
unlock_not_held(void)
{
	return outcome(lock_bytes(make(O_RDWR), F_SETLK, F_UNLCK, 0, 0));
}

static const char *
lock_read_only(void)
{
	return outcome(lock_bytes(make(O_RDONLY), F_SETLK, F_WRLCK, 0, 0));
}

static const char *
lock_write_only(void)
{
	return outcome(lock_bytes(make(O_WRONLY), F_SETLK, F_RDLCK, 0, 0));
}

static const char *
lock_bad_type(void)
{
	return outcome(lock_bytes(make(O_RDWR), F_SETLK, 77, 0, 0));
}

static const char *
lock_negative(void)
{
	return outcome(lock_bytes(make(O_RDWR), F_SETLK, F_WRLCK, -5, 0));
}

static const char *
try_byte_0(int fd)
{
	return outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 0, 1));
}

static const char *
try_byte_1(int fd)
{
	return outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 1, 1));
}

static const char *
ranges_apart(void)
{
	int fd = make(O_RDWR);

	return lock_bytes(fd, F_SETLK, F_WRLCK, 0, 1) == 0 ? in_child(try_byte_1, fd) : "lock";
}

static int
one_of_two_unlocked(void)
{
	int fd = make(O_RDWR);

	if (lock_bytes(fd, F_SETLK, F_WRLCK, 0, 2) != 0 ||
	    lock_bytes(fd, F_SETLK, F_UNLCK, 0, 1) != 0)
		_exit(fputs("lock", stdout));
	return fd;
}

static const char *
range_unlocked(void)
{
	return in_child(try_byte_0, one_of_two_unlocked());
}

static const char *
range_still_locked(void)
{
	return in_child(try_byte_1, one_of_two_unlocked());
}

static const char *
ranges_unlocked(void)
{
	int fd = one_of_two_unlocked();

	return lock_bytes(fd, F_SETLK, F_UNLCK, 0, 0) == 0 ? in_child(try_byte_1, fd) : "unlock";
}

/* Asks F_GETLK how the lock is held, and by whom. */
static const char *
ask(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_GETLK, &lock) != 0)
		return outcome(-1);
	if (lock.l_type == F_UNLCK)
		return "free";
	if (lock.l_pid == getppid())
		return lock.l_type == F_WRLCK ? "writer, its process" : "reader, its process";
	return lock.l_type == F_WRLCK ? "writer" : "reader";
}

static const char *
ask_free(void)
{
	return ask(make(O_RDWR));
}

static const char *
ask_own(void)
{
	return ask(locked(F_WRLCK));
}

static const char *
ask_writer(void)
{
	return in_child(ask, locked(F_WRLCK));
}

static const char *
ask_reader(void)
{
	return in_child(ask, locked(F_RDLCK));
}

/* In a child, which reads as well. */
static const char *
read_and_ask(int fd)
{
	(void)lock_bytes(fd, F_SETLK, F_RDLCK, 0, 0);
	return ask(fd);
}

static const char *
ask_beside_reader(void)
{
	return in_child(read_and_ask, locked(F_RDLCK));
}

/* A child that holds the lock until the pipe's other end is closed. */
static int
hold_elsewhere(int fd, int type)
{
	int ready[2], until[2];
	char byte;

	if (pipe(ready) != 0 || pipe(until) != 0)
		return -1;
	if (fork() == 0) {
		close(until[1]);
		lock_bytes(fd, F_SETLK, type, 0, 0);
		close(ready[1]);
		_exit((int)read(until[0], &byte, 1));
	}
	close(ready[1]);
	(void)!read(ready[0], &byte, 1);
	return until[1];
}

static const char *
ask_beside_later_reader(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = locked(F_RDLCK);

	(void)hold_elsewhere(fd, F_RDLCK);
	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_RDLCK ? "reader" : "free";
}

/* Another description of the process reads as well: asks as description, or else as process. */
static const char *
ask_beside_description(bool is_description)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = locked(F_RDLCK), other = open(path, O_RDWR);

	if (lock_bytes(other, F_OFD_SETLK, F_RDLCK, 0, 0) != 0 ||
	    fcntl(is_description ? other : fd, is_description ? F_OFD_GETLK : F_GETLK, &lock) != 0)
		return outcome(-1);
	return lock.l_type == F_RDLCK ? "reader" : lock.l_type == F_WRLCK ? "writer" : "free";
}

static const char *
process_asks_beside_description(void)
{
	return ask_beside_description(false);
}

static const char *
description_asks_beside_process(void)
{
	return ask_beside_description(true);
}

/* Asks F_GETLK which bytes are locked. */
static const char *
ask_bytes(int fd)
{
	static char text[64];
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_GETLK, &lock) != 0)
		return outcome(-1);
	snprintf(text, sizeof text, "from %ld so many %ld", (long)lock.l_start, (long)lock.l_len);
	return text;
}

static const char *
ask_range(void)
{
	int fd = make(O_RDWR);

	return lock_bytes(fd, F_SETLK, F_WRLCK, 10, 5) == 0 ? in_child(ask_bytes, fd) : "lock";
}

static const char *
close_other_drops(void)
{
	int fd = locked(F_WRLCK);

	close(open(path, O_RDWR));
	return in_child(try_write, fd);
}

static const char *
close_dup_drops(void)
{
	int fd = locked(F_WRLCK);

	close(dup(fd));
	return in_child(try_write, fd);
}

static const char *
lock_and_exit(int fd)
{
	return outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0));
}

static const char *
exit_drops(void)
{
	int fd = make(O_RDWR);

	in_child(lock_and_exit, fd);
	return outcome(lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0));
}

static void *
unlock_it(void *fd)
{
	lock_bytes(*(int *)fd, F_SETLK, F_UNLCK, 0, 0);
	return NULL;
}

static const char *
other_thread_unlocks(void)
{
	int fd = locked(F_WRLCK);
	pthread_t thread;

	pthread_create(&thread, NULL, unlock_it, &fd);
	pthread_join(thread, NULL);
	return in_child(try_write, fd);
}

static int end_of_holder;

static void
ignore(int signal)
{
	(void)signal;
}

static void
let_go(int signal)
{
	(void)signal;
	close(end_of_holder);
}

/* Waits for the lock that a child holds, while a signal comes every 20 ms. */
static const char *
wait_with(void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	int fd = make(O_RDWR);

	end_of_holder = hold_elsewhere(fd, F_WRLCK);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	return outcome(lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0));
}

static const char *
wait_interrupted(void)
{
	return wait_with(ignore, 0);
}

static const char *
wait_restarted(void)
{
	return wait_with(let_go, SA_RESTART);
}

static const char *
flock_interrupted(void)
{
	struct sigaction action = { .sa_handler = ignore };
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	int fd = make(O_RDWR);

	if (flock(open(path, O_RDWR), LOCK_EX) != 0)
		return "flock";
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	return outcome(flock(fd, LOCK_EX));
}

static const char *
try_lockf(int fd)
{
	return outcome(lockf(fd, F_TLOCK, 0));
}

static const char *
test_lockf(int fd)
{
	return outcome(lockf(fd, F_TEST, 0));
}

static const char *
lockf_free(void)
{
	return outcome(lockf(make(O_RDWR), F_LOCK, 0));
}

static const char *
lockf_held(void)
{
	return in_child(try_lockf, locked(F_WRLCK));
}

static const char *
lockf_test(void)
{
	return in_child(test_lockf, locked(F_WRLCK));
}

static const char *
lockf_unlock(void)
{
	int fd = make(O_RDWR);

	return lockf(fd, F_LOCK, 0) == 0 && lockf(fd, F_ULOCK, 0) == 0 ? in_child(try_write, fd) :
									 outcome(-1);
}

static const char *
flock_free(void)
{
	return outcome(flock(make(O_RDONLY), LOCK_EX));
}

static const char *
flock_held(void)
{
	return flock(make(O_RDWR), LOCK_EX) == 0 ?
	    outcome(flock(open(path, O_RDWR), LOCK_EX | LOCK_NB)) :
	    "flock";
}

static const char *
flock_shared(void)
{
	return flock(make(O_RDWR), LOCK_SH) == 0 ?
	    outcome(flock(open(path, O_RDWR), LOCK_SH | LOCK_NB)) :
	    "flock";
}

static const char *
flock_dup(void)
{
	int fd = make(O_RDWR);

	return flock(fd, LOCK_EX) == 0 ? outcome(flock(dup(fd), LOCK_EX | LOCK_NB)) : "flock";
}

static const char *
flock_dup_unlocks(void)
{
	int fd = make(O_RDWR);

	flock(fd, LOCK_EX);
	flock(dup(fd), LOCK_UN);
	return outcome(flock(open(path, O_RDWR), LOCK_EX | LOCK_NB));
}

static const char *
flock_upgrade(void)
{
	int fd = make(O_RDWR);

	return flock(fd, LOCK_SH) == 0 ? outcome(flock(fd, LOCK_EX | LOCK_NB)) : "flock";
}

static const char *
flock_close_one(void)
{
	int fd = make(O_RDWR);

	flock(fd, LOCK_EX);
	close(dup(fd));
	return outcome(flock(open(path, O_RDWR), LOCK_EX | LOCK_NB));
}

static const char *
flock_close_last(void)
{
	int fd = make(O_RDWR), other = open(path, O_RDWR);

	flock(fd, LOCK_EX);
	close(fd);
	return outcome(flock(other, LOCK_EX | LOCK_NB));
}

static const char *
try_flock_inherited(int fd)
{
	return outcome(flock(fd, LOCK_EX | LOCK_NB));
}

static const char *
try_flock_anew(int fd)
{
	(void)fd;
	return outcome(flock(open(path, O_RDWR), LOCK_EX | LOCK_NB));
}

static const char *
flock_elsewhere(void)
{
	int fd = make(O_RDWR);

	return flock(fd, LOCK_EX) == 0 ? in_child(try_flock_anew, fd) : "flock";
}

static const char *
flock_inherited(void)
{
	int fd = make(O_RDWR);

	return flock(fd, LOCK_EX) == 0 ? in_child(try_flock_inherited, fd) : "flock";
}

static const char *
flock_bad(void)
{
	return outcome(flock(make(O_RDWR), 77));
}

static const char *
flock_and_fcntl_elsewhere(void)
{
	int fd = make(O_RDWR);

	return flock(fd, LOCK_EX) == 0 ? in_child(try_write, fd) : "flock";
}

static const char *
flock_and_fcntl_here(void)
{
	int fd = make(O_RDWR);

	return flock(fd, LOCK_EX) == 0 ? outcome(lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0)) : "flock";
}

static const char *
ofd_free(void)
{
	return outcome(lock_bytes(make(O_RDWR), F_OFD_SETLK, F_WRLCK, 0, 0));
}

static const char *
ofd_held(void)
{
	return lock_bytes(make(O_RDWR), F_OFD_SETLK, F_WRLCK, 0, 0) == 0 ?
	    outcome(lock_bytes(open(path, O_RDWR), F_OFD_SETLK, F_WRLCK, 0, 0)) :
	    "lock";
}

static const char *
ofd_process_id(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_pid = 1 };

	return outcome(fcntl(make(O_RDWR), F_OFD_SETLK, &lock));
}

static const char *
ofd_ask(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int other;

	lock_bytes(make(O_RDWR), F_OFD_SETLK, F_WRLCK, 0, 0);
	other = open(path, O_RDWR);
	return fcntl(other, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK ?
	    number(lock.l_pid) :
	    outcome(-1);
}

static const char *
ofd_two_threads_close(void)
{
	int fd = make(O_RDWR), copy = dup(fd);

	lock_bytes(fd, F_OFD_SETLK, F_WRLCK, 0, 0);
	close(fd);
	(void)copy;
	return outcome(lock_bytes(open(path, O_RDWR), F_OFD_SETLK, F_WRLCK, 0, 0));
}

static void *
wait_and_pause(void *fd)
{
	(void)lock_bytes(*(int *)fd, F_SETLKW, F_WRLCK, 0, 0);
	return pause() == 0 ? fd : NULL;
}

/* In a child: has the lock until the other end of the pipe is closed. */
static void __attribute__((noreturn)) hold_until_closed(int fd, const int pipes[2])
{
	char byte = 0;

	(void)lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0);
	close(pipes[1]);
	(void)!read(pipes[0], &byte, 1);
	_exit(0);
}

/* A thread is cancelled while it waits: at once, or when it has the lock. The process goes on. */
static const char *
cancelled_waiter(void)
{
	int fd = make_page(), pipes[2];
	pthread_t thread;
	void *result;

	if (pipe(pipes) != 0)
		return "no pipe";
	if (fork() == 0)
		hold_until_closed(fd, pipes);
	while (lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0) == 0)
		usleep(lock_bytes(fd, F_SETLK, F_UNLCK, 0, 0) == 0 ? 1000 : 0);
	if (pthread_create(&thread, NULL, wait_and_pause, &fd) != 0)
		return "no thread";
	usleep(50 * 1000);
	pthread_cancel(thread);
	close(pipes[1]);
	if (pthread_join(thread, &result) != 0 || result != PTHREAD_CANCELED)
		return "not cancelled";
	if (lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0) != 0 ||
	    lock_bytes(fd, F_SETLKW, F_UNLCK, 0, 0) != 0)
		return "no lock";
	return in_child(try_write, fd);
}

const struct row rows_lock[] = {
	{ "lock-free", lock_free },
	{ "lock-again", lock_again },
	{ "lock-again-other-descriptor", lock_again_other_descriptor },
	{ "lock-held-elsewhere", lock_held_elsewhere },
	{ "lock-not-inherited", lock_not_inherited },
	{ "readers-share", readers_share },
	{ "reader-keeps-writer-out", reader_keeps_writer_out },
	{ "write-to-read", write_to_read },
	{ "read-to-write", read_to_write },
	{ "unlock", unlocked },
	{ "unlock-not-held", unlock_not_held },
	{ "lock-read-only", lock_read_only },
	{ "lock-write-only", lock_write_only },
	{ "lock-bad-type", lock_bad_type },
	{ "lock-negative", lock_negative },
	{ "ranges-apart", ranges_apart },
	{ "range-unlocked", range_unlocked },
	{ "range-still-locked", range_still_locked },
	{ "ranges-unlocked", ranges_unlocked },
	{ "getlk-free", ask_free },
	{ "getlk-own", ask_own },
	{ "getlk-writer", ask_writer },
	{ "getlk-reader", ask_reader },
	{ "getlk-readers", ask_beside_reader },
	{ "getlk-later-reader", ask_beside_later_reader },
	{ "getlk-ofd-reader", process_asks_beside_description },
	{ "ofd-getlk-reader", description_asks_beside_process },
	{ "getlk-range", ask_range },
	{ "close-other-drops", close_other_drops },
	{ "close-dup-drops", close_dup_drops },
	{ "exit-drops", exit_drops },
	{ "other-thread-unlocks", other_thread_unlocks },
	{ "wait-interrupted", wait_interrupted },
	{ "wait-restarted", wait_restarted },
	{ "flock-interrupted", flock_interrupted },
	{ "lockf-free", lockf_free },
	{ "lockf-held", lockf_held },
	{ "lockf-test", lockf_test },
	{ "lockf-unlock", lockf_unlock },
	{ "flock-free", flock_free },
	{ "flock-held", flock_held },
	{ "flock-shared", flock_shared },
	{ "flock-dup", flock_dup },
	{ "flock-dup-unlocks", flock_dup_unlocks },
	{ "flock-upgrade", flock_upgrade },
	{ "flock-close-one", flock_close_one },
	{ "flock-close-last", flock_close_last },
	{ "flock-elsewhere", flock_elsewhere },
	{ "flock-inherited", flock_inherited },
	{ "flock-bad", flock_bad },
	{ "flock-and-fcntl-elsewhere", flock_and_fcntl_elsewhere },
	{ "flock-and-fcntl-here", flock_and_fcntl_here },
	{ "ofd-free", ofd_free },
	{ "ofd-held", ofd_held },
	{ "ofd-process-id", ofd_process_id },
	{ "ofd-getlk", ofd_ask },
	{ "ofd-close-one", ofd_two_threads_close },
	{ "lock-cancelled", cancelled_waiter },
	{ NULL, NULL },
};
