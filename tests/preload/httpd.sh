# httpd.sh: Apache httpd's prefork server in $work/httpd, whose accept mutex is a file, and requests to it, for
# the scripts that source this after system/lib.sh. They start it with its output appended to httpd/log.

# shellcheck shell=sh disable=SC2034,SC2154 # system/lib.sh sets work and helper; the scripts read the rest
httpd=/usr/sbin/apache2
httpd_modules=/usr/lib/apache2/modules
mkdir -p httpd/htdocs
echo hello >httpd/htdocs/index.html
chmod -R a+rX httpd

# has_httpd: or a line that says why not
has_httpd()
{
	[ -x $httpd ] && command -v ab >/dev/null && [ -e $httpd_modules/mod_mpm_prefork.so ] && return 0
	echo 'skipped: there is no apache2 with prefork, or no ab'
	return 1
}

# configure_httpd PLACE: writes httpd/conf: the accept mutex there, and two sockets, without which there is none
configure_httpd()
{
	port=$("$helper" port)
	other=$("$helper" port)
	rm -f httpd/log httpd/pid
	cat >httpd/conf <<EOF_CONF
ServerRoot $work/httpd
ServerName 127.0.0.1
Listen 127.0.0.1:$port
Listen 127.0.0.1:$other
LoadModule mpm_prefork_module $httpd_modules/mod_mpm_prefork.so
LoadModule authz_core_module $httpd_modules/mod_authz_core.so
LoadModule dir_module $httpd_modules/mod_dir.so
User www-data
Group www-data
StartServers 6
MinSpareServers 6
MaxRequestWorkers 12
Mutex fcntl:$1 mpm-accept
PidFile $work/httpd/pid
ErrorLog /dev/stderr
LogLevel warn
DocumentRoot $work/httpd/htdocs
EOF_CONF
}

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

# is_child PROCESS CHILD: still, as httpd may end a child itself
is_child()
{
	case " $(cat "/proc/$1/task/$1/children") " in
	*" $2 "*) ;;
	*) return 1 ;;
	esac
}

# kill_children PROCESS: of those that wait one has the mutex: each is killed in its turn
kill_children()
{
	killed=0
	for child in $(cat "/proc/$1/task/$1/children"); do
		is_child "$1" "$child" && kill -KILL "$child" 2>/dev/null && killed=$((killed + 1))
		await 'httpd answers after a child is killed' serves
	done
	[ $killed -ge 3 ]
	expect "3 children or more are killed, but $killed" 0 $?
}

# logged_errors: lines of errors that httpd wrote, and any line of the library; not AH00161, for on a busy machine
# httpd starts as many children as it may
logged_errors()
{
	grep -E ':(error|crit|alert|emerg)\]|libsmpreload' httpd/log | grep -v AH00161
}
