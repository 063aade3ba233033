# site.sh: functions that make, start and stop sites, for scripts that source it. A site is a directory with a
# caching TLS proxy that shares nothing with other sites: configuration, keys, cache, memory server and its files.
#
# The script sets
#
#	SRC	the root of the repository
#	BUILD	where the programs of `make` are
#	NGINX_PROGRAM	the program that deploy/nginx/build has made
#
# and may use what site_new leaves in a site's directory: pki/, error.log, nginx.pid, memory.pid, memory.log,
# library.log, kind. Kinds are linux (nginx's own zones), fcntl (zones in plain files), smdish, smuf and smc.
# Directories are absolute paths, short enough for a unix socket in them.

# shellcheck shell=sh
# nginx takes a variable of this name for sockets that it inherits.
unset NGINX
templates=${SRC:?}/deploy/nginx
# The user of the workers; nobody but root can choose one.
site_user=$([ "$(id -u)" != 0 ] || echo www-data)

# site_fill TEMPLATE DIR NAME=VALUE...: the template with its words filled in
site_fill()
{
	template=$1
	words="s|@DIR@|$2|g;s|@USER@|${site_user:+user $site_user;}|g"
	shift 2
	for word; do
		words="$words;s|@${word%%=*}@|${word#*=}|g"
	done
	sed "$words" "$template"
}

# site_share PATH...: lets the workers' user at them, through its group
site_share()
{
	[ -z "$site_user" ] || chgrp "$site_user" "$@"
}

# site_await FILE PATTERN: until a line of it matches, for ten seconds
site_await()
{
	tries=0
	until grep -q -- "$2" "$1" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 500 ] || {
			echo "$1 never had: $2" >&2
			return 1
		}
		sleep 0.02
	done
}

# site_origin DIR [ADDRESS]: starts the server of DIR/files at DIR/socket, or at the address
site_origin()
{
	mkdir -p "$1/files"
	site_fill "$templates/origin.conf.in" "$1" "ORIGIN=${2:-unix:$1/socket}" >"$1/nginx.conf"
	"${NGINX_PROGRAM:?}" -c "$1/nginx.conf" -e "$1/error.log" &
	echo $! >"$1/process"
	site_await "$1/error.log" 'start worker process '
}

# site_new DIR KIND WORKERS PORT ORIGIN [ZONE_SIZE]
site_new()
{
	mkdir "$1" "$1/memory" "$1/zones" || return 1
	echo "$2" >"$1/kind"
	case $2 in
	linux) prefix= ;;
	fcntl) prefix=$1/zones/ ;;
	*) prefix=/sm/ ;;
	esac
	site_fill "$templates/nginx.conf.in" "$1" "WORKERS=$3" "PORT=$4" "ORIGIN=unix:$5/socket:" "ZONE_SIZE=${6:-1m}" \
	    "LOG=$1/error.log" CONNECTIONS=4096 EVENTS= CACHE_KEY= "ZONE_FILES=${prefix:+zone_files $prefix;}" >"$1/nginx.conf"
	{
		"$SRC/deploy/mkpki" init "$1/pki" && "$SRC/deploy/mkpki" server "$1/pki" web &&
		    "$SRC/deploy/mkpki" server "$1/pki" memory && "$SRC/deploy/mkpki" client "$1/pki" nginx
	} >/dev/null || return 1
	head -c 32 /dev/urandom >"$1/key"
	site_mounts "$1" >"$1/mounts"
	chmod 750 "$1/pki"
	chmod 640 "$1/pki/nginx.key" "$1/key"
	: >"$1/library.log"
	chmod 660 "$1/library.log"
	chmod 2770 "$1/memory"
	site_share "$1/library.log" "$1/pki" "$1/pki/nginx.key" "$1/key" "$1/memory"
}

# site_tickets DIR: TLS sessions in tickets, and no zone for them, before the site is started
site_tickets()
{
	sed -e 's/ssl_session_cache .*/ssl_session_cache off;/' -e 's/ssl_session_tickets .*/ssl_session_tickets on;/' \
	    "$1/nginx.conf" >"$1/nginx.conf.new" && mv "$1/nginx.conf.new" "$1/nginx.conf"
}

# site_inside WORKERS PORT ORIGIN: the nginx.conf of a site in Gramine, where its directory is /site and its zones are
# below /sm. The origin is an address of TCP. README.md 9 gives the reasons.
# shellcheck disable=SC2016 # the variables are nginx's
site_inside()
(
	site_user=www-data
	site_fill "$templates/nginx.conf.in" /site "WORKERS=$1" "PORT=$2" "ORIGIN=$3" ZONE_SIZE=1m LOG=stderr \
	    CONNECTIONS=512 'EVENTS=use poll;' \
	    'CACHE_KEY=proxy_cache_key "$pid $scheme$proxy_host$request_uri";' 'ZONE_FILES=zone_files /sm/;'
)

# site_mounts DIR: its mount file
site_mounts()
{
	case $(cat "$1/kind") in
	smdish) echo "MOUNT unix:$1/memory.sock /sm smdish" ;;
	smuf) echo "MOUNT unix:$1/memory.sock,file:$1/memory /sm smuf" ;;
	smc) echo "MOUNT file:$1/memory /sm smc key=$1/key" ;;
	esac
	for each in CAFILE=root.crt CERTFILE=nginx.crt KEYFILE=nginx.key; do
		echo "${each%=*} $1/pki/${each#*=}"
	done
}

# site_memory DIR: starts its memory server, if its kind has one
site_memory()
{
	case $(cat "$1/kind") in
	smdish) set -- "$1" smdishserver ;;
	smuf) set -- "$1" smufserver -r "$1/memory" ;;
	*) return 0 ;;
	esac
	server=$2
	dir=$1
	shift 2
	: >"$dir/memory.log"
	"${BUILD:?}/$server" -Z "$dir/pki/root.crt" "$dir/pki/memory.crt" "$dir/pki/memory.key" --operators nginx "$@" \
	    "$dir/memory.sock" 2>>"$dir/memory.log" &
	echo $! >"$dir/memory.pid"
	site_await "$dir/memory.log" "listening on $dir/memory.sock" || return 1
	site_share "$dir/memory.sock"
}

# site_start DIR: starts its nginx; until its workers run
site_start()
{
	rm -f "$1/error.log"
	case $(cat "$1/kind") in
	linux | fcntl) "${NGINX_PROGRAM:?}" -c "$1/nginx.conf" -e "$1/error.log" & ;;
	*)
		SM_LOG=$1/library.log "${BUILD:?}/smrun" "$1/mounts" "${NGINX_PROGRAM:?}" -c "$1/nginx.conf" \
		    -e "$1/error.log" &
		;;
	esac
	echo $! >"$1/process"
	site_await "$1/error.log" 'start worker process '
}

# site_end FILE: sends SIGTERM to the process that the file names, and waits until it is gone. It may be gone already,
# or end otherwise: that does not fail, as serve goes on with the other sites.
site_end()
{
	[ -e "$1" ] || return 0
	process=$(cat "$1")
	rm -f "$1"
	kill -TERM "$process" 2>/dev/null || :
	status=0
	wait "$process" 2>/dev/null || status=$?
	# After SIGUSR2 the master is no child of this shell: 127.
	while [ $status = 127 ] && kill -0 "$process" 2>/dev/null; do
		sleep 0.02
	done
}

# site_stop DIR: ends its nginx, also one that SIGUSR2 started, and its memory server
site_stop()
{
	site_end "$1/process"
	site_end "$1/nginx.pid"
	site_end "$1/memory.pid"
}
