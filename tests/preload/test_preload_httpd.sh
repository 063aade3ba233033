#!/bin/sh
# Apache httpd's prefork server, unmodified: its accept mutex is a memory file (Mutex fcntl:), 10,000 requests
# succeed, no error is logged, and a child that is killed while it has the mutex holds up nobody.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
skip_if_sanitized
modules=/usr/lib/apache2/modules
if ! [ -x /usr/sbin/apache2 ] || ! command -v ab >/dev/null || ! [ -e $modules/mod_mpm_prefork.so ]; then
	echo 'skipped: there is no apache2 with prefork, or no ab'
	finish
fi
[ "$(id -u)" = 0 ] || {
	echo 'skipped: only root starts httpd as it is started'
	finish
}

# www-data, which the children become, reaches the servers through its group, or with its parent's connection.
chgrp www-data . dish.sock muf.sock memdir smcdir key pki pki/client.key
chmod 2770 smcdir
chmod 640 key pki/client.key
chmod 750 pki

# conf PLACE: a server with its accept mutex there, and two sockets, without which it needs none
conf()
{
	port=$("$helper" port)
	other=$("$helper" port)
	cat <<EOF
ServerRoot $work/httpd
ServerName 127.0.0.1
Listen 127.0.0.1:$port
Listen 127.0.0.1:$other
LoadModule mpm_prefork_module $modules/mod_mpm_prefork.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule dir_module $modules/mod_dir.so
User www-data
Group www-data
StartServers 6
MinSpareServers 6
MaxRequestWorkers 12
Mutex fcntl:$1 mpm-accept
PidFile $work/httpd/pid
ErrorLog $work/httpd/error.log
LogLevel warn
DocumentRoot $work/httpd/htdocs
EOF
}

mkdir -p httpd/htdocs
echo hello >httpd/htdocs/index.html
chmod -R a+rX httpd

# sum LABEL: of what both runs of ab say
sum()
{
	cat ab.first ab.other | awk -v label="$1" 'index($0, label) == 1 { n += $3; seen++ } END { print seen == 2 ? n : "unknown" }'
}

# requests COUNT: what became of COUNT on each of the two sockets at once
requests()
{
	ab -q -s "$patience" -n "$1" -c 4 "http://127.0.0.1:$other/index.html" >ab.other 2>&1 &
	beside=$!
	ab -q -s "$patience" -n "$1" -c 4 "http://127.0.0.1:$port/index.html" >ab.first 2>&1
	wait $beside
	echo "$(sum 'Complete requests:') complete, $(sum 'Failed requests:') failed"
}

serves()
{
	ab -q -n 1 "http://127.0.0.1:$port/index.html" >ab.once 2>&1
}

for place in $kinds; do
	conf "$place" >httpd/conf
	rm -f httpd/error.log httpd/pid
	# httpd signals its whole group when it ends.
	setsid env LD_PRELOAD="$sanitizer$library" /usr/sbin/apache2 -D FOREGROUND -f "$work/httpd/conf" >httpd/out 2>&1 &
	pid=$!
	started="$started $pid"
	await "$place: httpd answers" serves
	expect "$place: 5,000 requests on each of two sockets" '10000 complete, 0 failed' "$(requests 5000)"

	# That is the file of the mutex: it exists as long as httpd has it open.
	preloaded test -e "$place/mpm-accept-0.$pid"
	expect "$place: the mutex is a memory file" 0 $?

	# One of the children that wait has the mutex: each is killed in its turn.
	killed=0
	for child in $(cat "/proc/$pid/task/$pid/children"); do
		kill -KILL "$child" 2>/dev/null && killed=$((killed + 1))
		await "$place: httpd answers after a child is killed" serves
	done
	[ $killed -ge 3 ]
	expect "$place: children were killed" 0 $?
	expect "$place: requests afterwards" '200 complete, 0 failed' "$(requests 100)"
	expect "$place: errors that httpd logs" '' "$(grep -E ':(error|crit|alert|emerg)\]' httpd/error.log)"
	expect "$place: what the library says" '' "$(cat httpd/out)"
	kill -TERM $pid
	wait $pid
done
finish
