# lib.sh: servers for the scripts of this folder, which source it; check.sh comes with it.
#
# Sets work (a private directory, which is the working directory), server, mkpki and helper
# (programs) and patience (how many seconds to wait), and ends every server that was started when
# the script ends. Environment: SRC, the root of the repository; BUILD, where the programs are; CC;
# VARIANT.

# shellcheck shell=sh disable=SC2034 # some variables are for the scripts
set -u
unset CDPATH NOTIFY_SOCKET LISTEN_FDS LISTEN_PID WATCHDOG_USEC WATCHDOG_PID
LC_ALL=C
export LC_ALL
server=${BUILD:?}/smdishserver
mkpki=${SRC:?}/deploy/mkpki
# shellcheck source=tests/system/check.sh
. "$SRC/tests/system/check.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/system.XXXXXX") || exit 1
helper=$work/helper
started= # NUMBER:BEGAN of processes, see remember
# Seconds, for what should happen at once.
patience=$("$BUILD/patience" 10)

# began PROCESS: when, in ticks of the machine's clock; nothing when there is none of that number
began()
{
	read -r fields 2>/dev/null <"/proc/$1/stat" || return 0
	# shellcheck disable=SC2086 # fields
	set -- ${fields##*) }
	echo "${20}"
}

# remember PROCESS...: what is to be ended with the script
remember()
{
	for each; do
		started="$started $each:$(began "$each")"
	done
}

# is_another NUMBER:BEGAN: a process that began later has the number by now
is_another()
{
	now=$(began "${1%:*}")
	[ -n "$now" ] && [ "$now" != "${1#*:}" ]
}

# A process that has ended may have given its number to one of another test.
clean_up()
{
	for each in $started; do
		is_another "$each" || kill -KILL "${each%:*}" 2>/dev/null
	done
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -o "$helper" "$SRC/tests/system/helper.c" || exit 1

# await WHAT COMMAND...: repeats the command until it succeeds; a failure when it never does. A machine that has become
# busy since patience was measured lets it look less often.
await()
{
	what=$1
	shift
	checks=$((checks + 1))
	until=$(($(date +%s) + patience))
	looks=0
	while ! "$@"; do
		looks=$((looks + 1))
		if [ $looks -ge 200 ] && [ "$(date +%s)" -gt $until ]; then
			failures=$((failures + 1))
			printf '%s: it did not come to that within %d s and %d looks: %s\n' "$what" $patience $looks "$*"
			return 1
		fi
		sleep 0.01
	done
}

# has FILE PATTERN: a line of it matches
has()
{
	grep -q -- "$2" "$1" 2>/dev/null
}

# ended PROCESS: it is gone, or a zombie
ended()
{
	read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" || return 0
	[ "$state" = Z ]
}

# answers KIND NAME...: a server replies there, in plaintext
answers()
{
	"$helper" probe "$patience" "$@"
}

# start ARGUMENT...: starts a server in the background: its process in pid, its log in $work/log,
# which is emptied before
start()
{
	: >"$work/log"
	"$server" "$@" 2>>"$work/log" &
	pid=$!
	remember "$pid"
}

# end WHAT: sends SIGTERM to $pid, which must exit with 0
end()
{
	kill -TERM "$pid"
	wait "$pid"
	expect "$1: exit status after SIGTERM" 0 $?
}

# run ARGUMENT...: runs a server that should end at once: its exit status in status, its output in
# out and err
run()
{
	timeout -k 1 "$patience" "$server" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	out=$(cat "$work/out")
	err=$(cat "$work/err")
}
