#!/bin/sh
# Apache httpd's prefork server, unmodified: its accept mutex is a memory file (Mutex fcntl:), 10,000 requests
# succeed, no error is logged, and a child that is killed while it has the mutex holds up nobody.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
# shellcheck source=tests/preload/httpd.sh
. "$SRC/tests/preload/httpd.sh"
skip_if_sanitized
has_httpd || finish
[ "$(id -u)" = 0 ] || {
	echo 'skipped: only root starts httpd as it is started'
	finish
}

# www-data, which the children become, reaches the servers through its group, or with its parent's connection.
chgrp www-data . dish.sock muf.sock memdir smcdir key pki pki/client.key
chmod 2770 smcdir
chmod 640 key pki/client.key
chmod 750 pki

# find_holder: the child that has the mutex: holder
find_holder()
{
	holder=$(preloaded /usr/bin/python3 "$SRC/tests/preload/holder.py" "$place/mpm-accept-0.$pid" 2>&1)
	case " $(cat "/proc/$pid/task/$pid/children")" in
	*" $holder "*) return 0 ;;
	*) return 1 ;;
	esac
}

# kill_holder: and others go on
kill_holder()
{
	await "$place: a child has the mutex" find_holder || return
	kill -KILL "$holder"
	await "$place: httpd answers after the holder is killed" serves
}

for place in $kinds; do
	configure_httpd "$place"
	# httpd signals its whole group when it ends.
	setsid env LD_PRELOAD="$sanitizer$library" $httpd -D FOREGROUND -f "$work/httpd/conf" >>httpd/log 2>&1 &
	pid=$!
	remember "$pid"
	await "$place: httpd answers" serves
	expect "$place: 5,000 requests on each of two sockets" '10000 complete, 0 failed' "$(requests 5000)"

	# That is the file of the mutex: it exists as long as httpd has it open.
	preloaded test -e "$place/mpm-accept-0.$pid"
	expect "$place: the mutex is a memory file" 0 $?

	# smc does not tell the process.
	case $place in
	*/smc) kill_children $pid ;;
	*) kill_holder && kill_holder ;;
	esac
	expect "$place: requests afterwards" '200 complete, 0 failed' "$(requests 100)"
	expect "$place: errors that are logged" '' "$(logged_errors)"
	kill -TERM $pid
	wait $pid
done
finish
