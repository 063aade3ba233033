#!/bin/sh
# The manuals: all are installed, well-formed, and name each other's pages as they are; the commands of their examples
# work. In an example a line "$ cat FILE" makes the file of the lines that follow, any other line that begins with "$ "
# is a command. The scripts run in a directory of their own, which stands for / where they name /etc, /run, /srv and
# /var. Programs of Gramine are stand-ins here that take what they are given.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"
pages=$(cd "$SRC" && find . \( -name build -o -name .git \) -prune -o -name '*.[1-9]' -print | sed 's,^\./,,' | sort)
expect 'pages, at least' yes "$([ "$(echo "$pages" | wc -l)" -ge 10 ] && echo yes || echo "$pages")"
if [ -z "${VARIANT:-}" ]; then
	make -s -C "$SRC" install BUILD="$BUILD" DESTDIR="$work/installed" PREFIX=/usr >install.log 2>&1
	expect 'make install' '0 ' "$? $([ $? -eq 0 ] || cat install.log)"
	for page in $pages common/server/smufserver.8; do
		installed=installed/usr/share/man/man${page##*.}/$(basename "$page")
		expect "$page is installed" yes "$([ -s "$installed" ] && echo yes)"
	done
else
	echo 'skipped: a variant is not installed'
fi

# Where mandoc finds the pages that ours refer to, and no page of this system: ours, and those of Debian's packages, which
# need not be here.
others='ERR_get_error.3 RAND_set_rand_method.3 _exit.2 atexit.3 clone.2 closefrom.3 connect.2 cron.8 execvp.3 exit.3
fcntl.2 flock.1 flock.2 fork.2 fstat.2 ld.so.8 lockf.3 longjmp.3 malloc.3 memcmp.3 mmap.2 mprotect.2 open.2 openssl.1 poll.2
pthread_atfork.3 pthread_cancel.3 pthread_mutex_lock.3 read.2 sd_listen_fds.3 sd_notify.3 sd_watchdog_enabled.3 systemd.socket.5
userfaultfd.2 write.2'
for page in $pages smufserver.8 $others; do
	mkdir -p "man/man${page##*.}" && : >"man/man${page##*.}/$(basename "$page")" || exit 1
done

# lint PAGE: what mandoc says of it, matters of style, too, but that its index has none of those pages
lint()
{
	MANPATH=$work/man mandoc -Tlint -Wstyle "$SRC/$1" 2>&1 | grep -v '^mandoc: outdated mandoc.db lacks '
}

for page in $pages; do
	if command -v mandoc >/dev/null; then
		expect "$page: mandoc" '' "$(lint "$page")"
	fi
	# What else has a name like ours has a page.
	for reference in $(sed -n 's/^\.Xr \(sm[a-z.]*\|mk[a-z]*\|makemanifest\) \([1-9]\).*/\1.\2/p' "$SRC/$page" | sort -u); do
		case $reference in
		smufserver.8) ;; # smdishserver(8) describes both
		*) expect "$page refers to $reference" yes "$(echo "$pages" | grep -qx "\(.*/\)*$reference" && echo yes)" ;;
		esac
	done
done
command -v mandoc >/dev/null || echo 'skipped: there is no mandoc to check the pages with'

mkdir tools
for tool in gramine-manifest gramine-sgx-pf-crypt gramine-sgx-sign gramine-sgx; do
	printf '#!/bin/sh\necho "$0 $*" >>"%s/tools/called"\n' "$work" >tools/$tool
	chmod 755 tools/$tool
done
PATH=$BUILD:$SRC/deploy:$work/tools:$PATH

# script PAGE: the examples as a script of sh
script()
{
	awk '
	/^\.Sh / { is_examples = $2 == "EXAMPLES" }
	!is_examples { next }
	/^\.Bd -literal/ { is_open = 1; next }
	/^\.Ed/ { end_file(); is_open = 0; next }
	!is_open { next }
	{ gsub(/\\&/, ""); gsub(/\\e/, "\\") }
	/^\$ cat [^ |]*$/ { end_file(); print "mkdir -p \"$(dirname " $3 ")\"; cat >" $3 " <<\"END_OF_FILE\""; is_file = 1; next }
	/^\$ / { end_file(); sub(/^\$ /, ""); print $0 (/ & [a-z]/ ? "; wait $!" : ""); is_command = /\\$/; wait_for_socket(); next }
	is_file { print; next }
	is_command { print; is_command = /\\$/; wait_for_socket(); next }
	{ print "echo unknown line; exit 1" }
	function end_file() { if (is_file) print "END_OF_FILE"; is_file = 0 }
	function wait_for_socket() { if (/\.sock &$/ || /\.conf &$/) print "serving $!" }
	' "$SRC/$1" | sed "s,\([ :>\"=]\)/\(etc\|run\|srv\|var\)/,\1$work/root/\2/,g"
}

# have_ended: no server has a socket any more
# shellcheck disable=SC2317 # await calls it
have_ended()
{
	[ -z "$(find root/run -type s)" ]
}

# The examples of a page, one after the other.
# shellcheck disable=SC2016 # the script expands it
begin='set -eu
serving()
{
	servers="$servers $1"
	tries=0
	until [ "$(find "$root/run" -type s | wc -l)" -ge "$(echo $servers | wc -w)" ]; do
		kill -0 "$1" && [ $tries -lt $((patience * 50)) ] || exit 1
		tries=$((tries + 1))
		sleep 0.02
	done
}
servers=
trap "kill \$servers 2>/dev/null || true" EXIT
'
for page in $pages; do
	case $page in
	*smclient.3 | *.7) continue ;; # test_manual.sh compiles and runs the former
	*smrun.1)
		[ -z "${VARIANT:-}" ] || {
			echo "skipped: the examples of smrun(1): a sanitizer's library wants to be the first one"
			continue
		}
		;;
	*smstat.1)
		command -v jq >/dev/null || {
			echo 'skipped: the examples of smstat(1): there is no jq'
			continue
		}
		;;
	esac
	rm -rf root && mkdir -p root/run root/srv root/etc root/var/lib/prometheus/node-exporter || exit 1
	{
		printf 'root=%s patience=%s\n%s' "$work/root" "$patience" "$begin"
		script "$page"
	} >script
	expect "$page: commands in its examples, at least" yes "$([ "$(script "$page" | wc -l)" -ge 3 ] && echo yes)"
	(cd root && timeout -k 1 $((3 * patience)) sh ../script >../out 2>&1 </dev/null)
	expect "$page: the examples' exit status" "0: " "$?: $([ $? -eq 0 ] || cat out)"
	await "$page: its servers have ended" have_ended
	expect "$page: keys that others may read" '' "$(find root -name '*.key' -perm /077)"
done
expect 'programs of Gramine that were called' 4 "$(sort -u tools/called | wc -l)"
finish
