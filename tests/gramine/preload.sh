# preload.sh: unmodified programs with the preloaded library in gramine-direct, beside others outside, for
# gramine/run, which sources it after lib.sh: a program of preload/, python3, perl, flock(1) and Apache httpd.

# shellcheck shell=sh disable=SC2154 # system/lib.sh and the script set them
# shellcheck source=tests/preload/httpd.sh
. "$SRC/tests/preload/httpd.sh"
preload=$BUILD/libsmpreload.so
client=$BUILD/libsmclient.so.1
python=$(readlink -f /usr/bin/python3)

# mount_paths PATH...: lines of a manifest for these files and directories, each at its own path
mount_paths()
{
	for each; do
		echo "  { path = \"$each\", uri = \"file:$each\" },"
	done
}

# trust_files PATH...: lines for the hashes of the files among them
trust_files()
{
	for each; do
		[ -d "$each" ] || echo "  \"file:$each\","
	done
}

# allow_directories PATH...: lines for the directories among them
allow_directories()
{
	for each; do
		[ ! -d "$each" ] || echo "  \"file:$each/\","
	done
}

# needed PATH...: the host's libraries that these programs and libraries need
needed()
{
	ldd "$@" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | grep -v '/lib\(c\|m\|dl\|pthread\)\.so' | sort -u
}

# render_preloaded NAME PROGRAM HOW PATH...: writes the manifest NAME.HOW of a program that uses these files and
# directories
render_preloaded()
{
	name=$1
	run=$2
	how=$3
	shift 3
	memdir="type = \"chroot\", uri = \"file:$work/memdir\""
	[ "$how" != shm ] || memdir="type = \"untrusted_shm\", uri = \"dev:$work/memdir\""
	out=manifests/$name.$how
	set -- "$run" "$preload" "$client" "$work/conf" "$@"
	libs=$(needed "$@")
	# shellcheck disable=SC2086 # several
	cat >"$out.template" <<EOF_MANIFEST
libos.entrypoint = "$run"
loader.log_level = "error"
loader.insecure__use_cmdline_argv = true
loader.env.LD_LIBRARY_PATH = "/lib:/lib/x86_64-linux-gnu"
loader.env.PATH = "/usr/bin"
loader.env.LD_PRELOAD = "$preload"
loader.env.SM_CONF = "$work/conf/mounts"
fs.mounts = [
  { path = "/lib", uri = "file:{{ gramine.runtimedir() }}" },
  { path = "$work/pki", uri = "file:$work/pki" },
  { path = "$work/memdir", $memdir },
$(mount_paths "$@")
$(for each in $libs; do
		echo "  { path = \"/lib/x86_64-linux-gnu/${each##*/}\", uri = \"file:$each\" },"
	done)
]
sys.enable_sigterm_injection = true
sgx.enclave_size = "1G"
sgx.max_threads = 8
sgx.trusted_files = [
  "file:{{ gramine.runtimedir() }}/", "file:$work/pki/",
$(trust_files "$@" $libs)
]
sgx.allowed_files = [
  "file:$work/memdir/",
$(allow_directories "$@")
]
EOF_MANIFEST
	gramine-manifest "$out.template" "$out.manifest" || exit 1
}

# inside HOW NAME ARGUMENT...: runs such a program
inside()
{
	how=$1
	name=$2
	shift 2
	(cd "$work/manifests" && timeout -k 5 600 gramine-direct "$name.$how" "$@") 2>&1
}

# beside ARGUMENT...: the program of preload/ outside
beside()
{
	timeout -k 5 600 env LD_PRELOAD="$preload" SM_CONF="$work/conf/mounts" ./sections "$@" 2>&1
}

# count_inside HOW: programs with several processes each
count_inside()
{
	expect "$1: a POSIX program, 3 children of 50" 150 "$(inside "$1" sections fork /m/fork 3 50)"
	expect_match "$1: smbench's sections, 2 processes of 100" 'critical sections: 200, *' \
	    "$(inside "$1" sections bench /m/bench 2 100 65536)"
	! has_program python3 || expect "$1: python3, 3 children of 20" 60 \
	    "$(inside "$1" python3 "$SRC/tests/preload/count.py" /m/python 3 20)"
	! has_program perl || for locks in flock fcntl; do
		expect "$1: perl with $locks, 4 children of 25" 100 \
		    "$(inside "$1" perl "$SRC/tests/preload/count.pl" "/m/perl$locks" $locks "$work/conf/counter" 4 25)"
	done
	! has_program flock || expect "$1: flock(1) around 4 shells" 20 \
	    "$(inside "$1" sh "$SRC/tests/preload/count.sh" /m/shells "$work/conf/counter" 4 5)"
}
# meet HOW: a process inside and one outside count together
meet()
{
	mkfifo until
	beside hold /m/meet <until >held &
	holder=$!
	exec 8>until
	await "$1: one outside opens the file" has held open
	inside "$1" sections alone /m/meet 100 >in &
	first=$!
	beside alone /m/meet 200 >out
	wait $first
	exec 8>&-
	wait $holder
	expect "$1: one inside says" '' "$(cat in)"
	expect "$1: one outside says" '' "$(cat out)"
	expect "$1: one inside, one outside" 'open 300' "$(tr '\n' ' ' <held | sed 's/ $//')"
	rm until
}

# with_server: all of it, with the server that was started
with_server()
{
	count_inside plain
	expect 'with children that are killed' 100 "$(inside plain sections killed /m/killed 2 50)"
	meet plain
}

unmodified_programs_with_smdish()
{
	serve_smdish
	with_server
	end 'smdishserver inside'
}

unmodified_programs_with_smuf()
{
	serve_smuf
	with_server
	end 'smufserver inside'
}

# Without kernel locks a killed process keeps the lock: no children are killed. And a process that ends without
# closing its files leaves them.
unmodified_programs_with_smc()
{
	mount_smc
	count_inside shm
}

# run_httpd HOW: starts it, and sends 10,000 requests
run_httpd()
{
	configure_httpd /m
	# httpd signals its whole group when it ends.
	(cd manifests && exec setsid gramine-direct "httpd.$1" -D FOREGROUND -f "$work/httpd/conf") >>httpd/log 2>&1 &
	httpd_pid=$!
	remember "$httpd_pid"
	await 'httpd answers' serves
	await 'it has children' has_children 4
	env LD_PRELOAD="$preload" SM_CONF="$work/conf/mounts" test -e /m/mpm-accept-0.1
	expect 'its mutex is a memory file' 0 $?
	expect '5000 requests on each of two sockets' '10000 complete, 0 failed' "$(requests 5000)"
}

# has_children COUNT: processes of the host that httpd has forked
has_children()
{
	[ "$(wc -w <"/proc/$httpd_pid/task/$httpd_pid/children")" -ge "$1" ]
}

end_httpd()
{
	expect 'errors that are logged' '' "$(logged_errors)"
	kill -TERM "$httpd_pid"
	wait "$httpd_pid"
	expect 'httpd: exit status after SIGTERM' 0 $?
}

# A child that is killed while it has the mutex holds up nobody.
httpd_with_server()
{
	run_httpd plain
	kill_children "$httpd_pid"
	expect 'requests afterwards' '200 complete, 0 failed' "$(requests 100)"
	end_httpd
}

httpd_with_smdish()
{
	serve_smdish
	httpd_with_server
	end 'smdishserver inside'
}

httpd_with_smuf()
{
	serve_smuf
	httpd_with_server
	end 'smufserver inside'
}

httpd_with_smc()
{
	mount_smc
	run_httpd shm
	end_httpd
}

# render_programs HOW: the manifests of those that are here
render_programs()
{
	render_preloaded sections "$work/sections" "$1"
	[ ! -x "$python" ] || render_preloaded python3 "$python" "$1" "$SRC/tests/preload/count.py" /usr/bin/echo \
	    "/usr/lib/${python##*/}"
	[ ! -x /usr/bin/perl ] || render_preloaded perl /usr/bin/perl "$1" "$SRC/tests/preload/count.pl" \
	    /usr/lib/x86_64-linux-gnu/perl-base
	[ ! -x /usr/bin/flock ] || render_preloaded sh /usr/bin/sh "$1" "$SRC/tests/preload/count.sh" /usr/bin/flock \
	    /usr/bin/cat
	[ ! -x $httpd ] || render_preloaded httpd $httpd "$1" /etc/passwd /etc/group "$work/httpd" \
	    $httpd_modules/mod_mpm_prefork.so $httpd_modules/mod_authz_core.so $httpd_modules/mod_dir.so
}

# prepare_preloaded: makes the program of preload/, and all manifests
prepare_preloaded()
{
	${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -pthread -I "$SRC" -o sections "$SRC/tests/preload/sections.c" || exit 1
	for each in plain shm; do
		render_programs $each
	done
}

# run_preloaded: all tests above
run_preloaded()
{
	run_tests unmodified_programs_with_smdish unmodified_programs_with_smuf unmodified_programs_with_smc
	! has_httpd || run_tests httpd_with_smdish httpd_with_smuf httpd_with_smc
}
