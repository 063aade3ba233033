# lib.sh: the product's programs in gramine-direct, for the scripts that source it. They have checked
# that it is in PATH.

# shellcheck shell=sh disable=SC2154 # system/lib.sh sets work
# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"
patience=$((patience * 6)) # a program needs a second to start

# A process that was started is timeout(1) with a group of its own.
clean_up()
{
	for each in $started; do
		is_another "$each" || kill -s KILL -- "-${each%:*}" 2>/dev/null || kill -KILL "${each%:*}" 2>/dev/null
	done
	rm -rf "$work"
}

# The host's libraries that a program needs: Gramine has those of the C library.
libraries()
{
	ldd "$BUILD/$1" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | grep -v '/lib\(c\|m\|dl\|pthread\)\.so'
}

# render HOW PROGRAM: writes the manifest PROGRAM.HOW
render()
{
	memdir="type = \"chroot\", uri = \"file:$work/memdir\""
	[ "$1" != shm ] || memdir="type = \"untrusted_shm\", uri = \"dev:$work/memdir\""
	libs=$(libraries "$2")
	cat >"manifests/$2.$1.template" <<EOF
libos.entrypoint = "$BUILD/$2"
loader.log_level = "error"
loader.insecure__use_cmdline_argv = true
loader.env.LD_LIBRARY_PATH = "/lib:/lib/x86_64-linux-gnu"
fs.mounts = [
  { path = "/lib", uri = "file:{{ gramine.runtimedir() }}" },
  { path = "$BUILD/$2", uri = "file:$BUILD/$2" },
  { path = "$work/pki", uri = "file:$work/pki" },
  { path = "$work/conf", uri = "file:$work/conf" },
  { path = "$work/memdir", $memdir },
$(for each in $libs; do
		echo "  { path = \"/lib/x86_64-linux-gnu/${each##*/}\", uri = \"file:$each\" },"
	done)
]
sys.enable_sigterm_injection = true
sys.experimental__enable_flock = $([ "$1" = flock ] && echo true || echo false)
sgx.enclave_size = "512M"
sgx.max_threads = 8
sgx.trusted_files = [
  "file:{{ gramine.runtimedir() }}/", "file:$BUILD/$2", "file:$work/pki/",
$(for each in $libs; do echo "  \"file:$each\","; done)
]
sgx.allowed_files = [ "file:$work/memdir/", "file:$work/conf/" ]
EOF
	gramine-manifest "manifests/$2.$1.template" "manifests/$2.$1.manifest" || exit 1
}

# timeout(1) passes SIGTERM on.
go()
{
	how=$1
	program=$2
	shift 2
	[ "$how" != outside ] || exec timeout -k 5 600 "$BUILD/$program" "$@"
	cd "$work/manifests" || exit 1
	exec timeout -k 5 600 gramine-direct "$program.$how" "$@"
}

signal_server()
{
	kill -s "$1" -- -$pid
}

# shellcheck source=tests/ground/cases.sh
. "$SRC/tests/ground/cases.sh"
mkdir manifests
for each in smdishserver smufserver smbench counter; do
	render plain $each
done
render flock smufserver
for each in smufserver smbench counter; do
	render shm $each
done
