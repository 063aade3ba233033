# nginx.sh: Debian's nginx, patched, in gramine-direct, for gramine/run, which sources it after preload.sh and
# package.sh: two workers, and zones over each kind, as deploy/gramine/README.md says.

# shellcheck shell=sh disable=SC2154 # lib.sh and the script set them
NGINX_PROGRAM=$BUILD/nginx/nginx
# shellcheck source=deploy/nginx/site.sh
. "$SRC/deploy/nginx/site.sh"
origin=$work/origin

# has_nginx: builds it unless it is there; or a line that says why not
has_nginx()
{
	has_encryption nginx || return 1
	"$SRC/deploy/nginx/build" "$BUILD/nginx" >nginx.log 2>&1 && return 0
	echo "skipped: nginx is not built: $(tail -n 1 nginx.log)"
	return 1
}

# start_origin: a server outside, with files
start_origin()
{
	[ -e "$origin" ] || {
		mkdir -p "$origin/files" "$origin/changing"
		for name in $(seq 20); do
			head -c $((name % 7 * name * 2991 + 1024)) /dev/urandom >"$origin/files/$name"
		done
		echo index >"$origin/files/index.html"
		chmod a+x "$work"
		chmod -R a+rX "$origin"
		origin_port=$("$helper" port)
	}
	site_origin "$origin" "127.0.0.1:$origin_port"
	remember "$(cat "$origin/process")"
}

# start_nginx KIND: it uses the server at $port
start_nginx()
{
	begin_package "$NGINX_PROGRAM" "$preload" "$client"
	if [ "$1" = smc ]; then
		cp conf/key "$package/keys/smc"
	else
		give_pair client nginx
	fi
	cp pki/server.crt "$package/pki/web.crt"
	cp pki/server.key "$package/keys/web.key"
	mkdir "$package/etc" "$package/site"
	for each in passwd group; do
		grep '^\(root\|www-data\):' "/etc/$each" >"$package/etc/$each"
	done
	ln -s "$work/memdir" "$package/mem"
	web_port=$("$helper" port)
	site_inside 2 "$web_port" "127.0.0.1:$origin_port" >"$package/nginx.conf"
	sed "s/:90[01][01]\\>/:${port:-}/" "$SRC/deploy/gramine/nginx-$1.conf" >"$package/nginx-$1.conf"
	end_package nginx -p bin/libsmpreload.so -e "SM_CONF=/nginx-$1.conf" "nginx-$1.conf" -c /nginx.conf -e stderr
	# A master that ends takes its group with it.
	(cd "$package" && exec setsid gramine-direct nginx) >site.log 2>&1 &
	web_pid=$!
	remember "$web_pid"
	await 'two workers serve' both_serve
}

# ask WHAT ARGUMENT...: requests over both workers
ask()
{
	what=$1
	shift
	SPREAD=2 timeout -k 1 $((patience * 60)) python3 "$SRC/tests/nginx/client.py" "$what" "$web_port" \
	    "$work/pki/root.crt" "$@"
}

both_serve()
{
	[ "$(TIMEOUT=5 ask fetch "$origin/files" 8 8)" = '8 right, 0 wrong, 0 failed' ]
}

# A limit passes 201 requests, and one more each 62.5 seconds.
count_passed()
{
	began=$(date +%s)
	ask count /counted/1 500 8 >counted
	most=$((201 + ($(date +%s) - began + 1) * 16 / 1000))
	passed=$(sed -n 's/^200: \([0-9]*\), 429: [0-9]*$/\1/p' counted)
	[ "${passed:-0}" -ge 201 ] && [ "$passed" -le $most ]
	expect "requests that a limit passes, 201 to $most, but $(cat counted)" 0 $?
	expect 'requests that it refuses' $((500 - passed)) "$(sed 's/.*429: //' counted)"
}

# change_body SIZE: a file that the cache keeps for three seconds gets another length. Until then bodies are the old
# one.
change_body()
{
	head -c "$1" /dev/urandom >"$origin/changing/brief"
	cp "$origin/changing/brief" "$origin/new"
	mv "$origin/new" "$origin/files/brief"
	await "one worker serves $1 bytes" has_changed 1
	expect_match "$1 bytes: bodies are whole" '* right, * wrong, 0 failed' \
	    "$(TIMEOUT=$patience ask fetch "$origin/changing" 8 8)"
	await "both workers serve $1 bytes" has_changed 8
}

# has_changed COUNT: so many connections get the new body
has_changed()
{
	[ "$(TIMEOUT=5 ask fetch "$origin/changing" "$1" "$1")" = "$1 right, 0 wrong, 0 failed" ]
}

# share_zones: what two workers serve, the last 1,000 requests from the cache alone
share_zones()
{
	expect '1000 bodies' '1000 right, 0 wrong, 0 failed' "$(ask fetch "$origin/files" 1000 8)"
	count_passed
	for version in 1.2 1.3; do
		expect_match "sessions of TLS $version" '60 of 60 resumed, [1-9]* by other workers' \
		    "$(ask resume $version 60 6)"
	done
	for size in 2000 20000 3000; do
		change_body $size
	done
	rm "$origin/files/brief"
	[ "$(find "$package/site/cache" -type f | wc -l)" -ge 40 ] && ! grep -qr 'KEY: ' "$package/site"
	expect 'files of the cache are there, and encrypted' 0 $?
	site_end "$origin/process"
	expect '1000 bodies of the cache' '1000 right, 0 wrong, 0 failed' "$(ask fetch "$origin/files" 1000 8)"
}

# errors: the kinds of error lines, without dates and numbers, and any line of the library
errors()
{
	grep -v '\[error\].* limiting requests, ' site.log |
	    sed -n 's/.*\[\(error\|crit\|alert\|emerg\)\] [^:]*: \(\*[0-9]* \)\?/\1 /p; /libsmpreload/p' | sort -u
}

# A kernel without a call that nginx can do without: deploy/nginx/README.md 9.
no_errors()
{
	expect 'kinds of errors that are logged' 'alert prctl(PR_SET_DUMPABLE) failed (38: Function not implemented)
alert sendmsg() failed (38: Function not implemented)' "$(errors)"
}

# kill_each: workers and cache manager; the cache loader may have ended
kill_each()
{
	killed=0
	for child in $(cat "/proc/$web_pid/task/$web_pid/children"); do
		kill -KILL "$child" 2>/dev/null && killed=$((killed + 1))
		await 'two workers serve after a death' both_serve
	done
	[ $killed -ge 3 ]
	expect "3 children or more are killed, but $killed" 0 $?
}

# restart_server COMMAND...: kills it, and runs the command that starts another at its port
restart_server()
{
	signal_server KILL
	wait $pid 2>/dev/null
	expect 'bodies without a server' '0 right, 0 wrong, 8 failed' "$(TIMEOUT=1 ask fetch "$origin/files" 8 8)"
	at=$port
	"$@"
	at=
	await 'two workers serve with the next server' both_serve
	expect '200 bodies' '200 right, 0 wrong, 0 failed' "$(ask fetch "$origin/files" 200 8)"
}

end_nginx()
{
	kill -TERM "$web_pid"
	wait "$web_pid"
	expect 'nginx: exit status after SIGTERM' 0 $?
	site_end "$origin/process"
}

# nginx_with_server KIND COMMAND...: with the server that was started; the command starts the next one
nginx_with_server()
{
	start_origin
	start_nginx "$1"
	share_zones
	no_errors
	start_origin
	kill_each
	shift
	restart_server "$@"
	end_nginx
	end 'the server inside'
}

nginx_with_smdish()
{
	serve_smdish
	nginx_with_server smdish serve smdishserver
}

nginx_with_smuf()
{
	serve_smuf
	nginx_with_server smuf follow_smuf
}

# A worker that is killed with a lock would keep it, and there is no server.
nginx_with_smc()
{
	mount_smc
	start_origin
	start_nginx smc
	share_zones
	no_errors
	end_nginx
}
