# preload.sh: unmodified programs with the preloaded library in gramine-direct, beside others outside, for
# gramine/run, which sources it after lib.sh: python3, and a program of preload/.

# shellcheck shell=sh disable=SC2154 # system/lib.sh and the script set them
preload=$BUILD/libsmpreload.so
client=$BUILD/libsmclient.so.1
python=$(readlink -f /usr/bin/python3)
modules=/usr/lib/${python##*/}

# mount FILE...: lines of a manifest for these files, each at its own path
mount_files()
{
	for each; do
		echo "  { path = \"$each\", uri = \"file:$each\" },"
	done
}

# trust FILE...: lines for their hashes
trust_files()
{
	for each; do
		echo "  \"file:$each\","
	done
}

# needed PROGRAM: the host's libraries that it needs, and those of the client library
needed()
{
	ldd "$1" "$client" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | grep -v '/lib\(c\|m\|dl\|pthread\)\.so' | sort -u
}

# render_preloaded NAME PROGRAM HOW FILE...: writes the manifest NAME.HOW of a program that reads FILEs
render_preloaded()
{
	name=$1
	run=$2
	memdir="type = \"chroot\", uri = \"file:$work/memdir\""
	[ "$3" != shm ] || memdir="type = \"untrusted_shm\", uri = \"dev:$work/memdir\""
	out=manifests/$1.$3
	shift 3
	libs=$(needed "$run")
	# shellcheck disable=SC2086 # several
	cat >"$out.template" <<EOF
libos.entrypoint = "$run"
loader.log_level = "error"
loader.insecure__use_cmdline_argv = true
loader.env.LD_LIBRARY_PATH = "/lib:/lib/x86_64-linux-gnu"
loader.env.LD_PRELOAD = "$preload"
loader.env.SM_CONF = "$work/conf/mounts"
loader.env.PATH = "/usr/bin"
fs.mounts = [
  { path = "/lib", uri = "file:{{ gramine.runtimedir() }}" },
  { path = "$work/pki", uri = "file:$work/pki" },
  { path = "$work/conf", uri = "file:$work/conf" },
  { path = "$work/memdir", $memdir },
  { path = "$modules", uri = "file:$modules" },
$(mount_files "$run" "$preload" "$client" "$@")
$(for each in $libs; do
		echo "  { path = \"/lib/x86_64-linux-gnu/${each##*/}\", uri = \"file:$each\" },"
	done)
]
sgx.enclave_size = "1G"
sgx.max_threads = 8
sgx.trusted_files = [
  "file:{{ gramine.runtimedir() }}/", "file:$work/pki/",
$(trust_files "$run" "$preload" "$client" "$@" $libs)
]
sgx.allowed_files = [ "file:$work/memdir/", "file:$work/conf/", "file:$modules/" ]
EOF
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

# unmodified HOW: counts inside by itself, and then together with a process outside
unmodified()
{
	expect "$1: python3, 3 children of 20" 60 \
	    "$(inside "$1" python3 "$SRC/tests/preload/count.py" /m/python 3 20)"
	expect "$1: a POSIX program, 3 children of 50" 150 "$(inside "$1" sections fork /m/fork 3 50)"
	expect "$1: with children that are killed" 100 "$(inside "$1" sections killed /m/killed 2 50)"
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

unmodified_programs_with_smdish()
{
	serve_smdish
	unmodified plain
	end 'smdishserver inside'
}

unmodified_programs_with_smuf()
{
	serve_smuf
	unmodified plain
	end 'smufserver inside'
}

# Without kernel locks a killed process keeps the lock: no children are killed. And a process that ends without
# closing its files leaves them.
unmodified_programs_with_smc()
{
	mount_smc
	expect 'smc: python3, 3 children of 20' 60 \
	    "$(inside shm python3 "$SRC/tests/preload/count.py" /m/python 3 20)"
	expect 'smc: a POSIX program, 3 children of 50' 150 "$(inside shm sections fork /m/fork 3 50)"
}

# run_preloaded: all of them
run_preloaded()
{
	if ! [ -x "$python" ] || ! [ -d "$modules" ]; then
		echo 'skipped: there is no /usr/bin/python3'
		return
	fi
	${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -pthread -I "$SRC" -o sections "$SRC/tests/preload/sections.c" || exit 1
	for each in plain shm; do
		render_preloaded python3 "$python" $each "$SRC/tests/preload/count.py" /usr/bin/echo
		render_preloaded sections "$work/sections" $each
	done
	run_tests unmodified_programs_with_smdish unmodified_programs_with_smuf unmodified_programs_with_smc
}
