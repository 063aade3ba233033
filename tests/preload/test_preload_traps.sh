#!/bin/sh
# What unmodified programs do to descriptors and signals: constructors and threads that call first, standard
# descriptors that are closed, closefrom(3), handlers, an older C library, forks while the server is stopped,
# a parent that ends, an end while threads lock, and calls that memory files do not have. Each answers as on a plain
# file.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -pthread -I "$SRC" -shared -fPIC -o libearly.so \
    "$SRC/tests/preload/early.c" || exit 1
program traps -L. -Wl,-rpath,"$work" -Wl,--no-as-needed -learly

# late PATH SERVER: forks while SERVER is stopped for longer than a fork waits for it
late()
{
	mkfifo begin
	: >said
	$run ./traps late "$1" 200 <begin >said 2>&1 &
	program=$!
	exec 8>begin
	await "$1: it has the file open" has said open
	[ -z "$2" ] || kill -STOP "$2"
	exec 8>&-
	await "$1: it forks" has said forked
	[ -z "$2" ] || kill -CONT "$2"
	wait "$program"
	rm begin
	tr '\n' ' ' <said
}

# is_asleep PROCESS: it has nothing to do, or has ended
is_asleep()
{
	! [ -e "/proc/$1" ] || grep -q '^State:.*S' "/proc/$1/status" 2>/dev/null
}

# is_gone PROCESS
is_gone()
{
	! kill -0 "$1" 2>/dev/null
}

# ending PATH SERVER WAITERS: calls exit(3) while SERVER is stopped, and so a thread of it is within a call
ending()
{
	mkfifo begin
	: >said
	$run ./traps ending "$1" "$3" <begin >said 2>&1 &
	program=$!
	exec 8>begin
	await "$1: it has the file open, which another has made" has said open
	[ -z "$2" ] || kill -STOP "$2"
	exec 8>&-
	await "$1: it is about to end" has said '^[0-9]'
	exiting=$(tail -n 1 said)
	await "$1: it waits for its thread" is_asleep "$exiting"
	[ -z "$2" ] || kill -CONT "$2"
	await "$1: it ends" is_gone "$exiting" || kill -KILL "$exiting"
	wait "$program"
	expect "$1: an end while a thread tries a lock and $3 wait: exit status" 0 $?
	rm begin
}

for place in $work/plain $kinds; do
	run=$(how "$place")
	expect "$place: threads of a constructor are the first to call" '0 failures, counted' \
	    "$(EARLY=$place/early $run ./traps early 2>&1)"
	$run ./traps standard "$place/standard" "$work/standard" <&- >&- 2>&-
	expect "$place: standard descriptors are closed" '0 1 2 counted 10' "$(cat standard)"
	expect "$place: children that call closefrom()" 50 "$($run ./traps closefrom "$place/closefrom" 2>&1)"
	expect "$place: handlers" '0 missing, 0 failures' \
	    "$($run ./traps handlers "$place/handlers" "$place/other" 2000 2>&1)"
	expect "$place: a handler closes a file that is locked" 'EINTR, elsewhere 0' \
	    "$($run ./traps closer "$place/closer" "$place/beside" 2>&1)"
	expect "$place: programs built against an older C library" '4096 4096 4096 4096 0' \
	    "$($run ./traps old "$place/old" 2>&1)"
	expect "$place: a parent that ends at once" 20 "$($run ./traps daemon "$place/daemon" 2>&1)"
	case $place in
	*/dish) pid=$dish ;;
	*/muf) pid=$muf ;;
	*) pid= ;;
	esac
	expect "$place: a fork while the server is stopped" 'open forked 210 ' "$(late "$place/late" "$pid")"
	ending "$place/ending" "$pid" 0
	ending "$place/waiting" "$pid" 4
done

# Calls that memory files do not have: once in a program, a line tells which was the first.
for place in $kinds; do
	expect "$place: read, write, sendfile, ioctl" 'EBADF EBADF EBADF EBADF EBADF EBADF EBADF EBADF ' \
	    "$(preloaded ./traps refused "$place/refused" 2>refused)"
	expect_match "$place: the line" "libsmpreload: traps?*?: $place/refused: read: a memory file is used by mmap() and locks only" \
	    "$(cat refused)"
	expect "$place: one line" 1 "$(wc -l <refused)"
done
finish
