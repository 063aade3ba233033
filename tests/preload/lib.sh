# lib.sh: programs under the preloaded library, for the scripts of this folder, which source it;
# system/lib.sh comes with it.
#
# Starts both servers (their processes are in dish and muf), and sets kinds (the paths below which files of
# each kind are; $work/plain is the kernel's own) and SM_CONF. Programs of this folder are built with
# `program NAME`, without a header of the product, into $work.

# shellcheck shell=sh disable=SC2034 # some variables are for the scripts
# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"
library=$BUILD/libsmpreload.so
chmod 755 "$work"
mkdir plain memdir smcdir
head -c 32 /dev/urandom >key
chmod 600 key
{ "$mkpki" init pki && "$mkpki" server pki server && "$mkpki" client pki client; } >/dev/null || exit 1
cat >mounts <<EOF
MOUNT unix:$work/dish.sock /sm/dish smdish
MOUNT unix:$work/muf.sock,file:$work/memdir /sm/muf smuf
MOUNT file:$work/smcdir /sm/smc smc key=key
CAFILE pki/root.crt
CERTFILE pki/client.crt
KEYFILE pki/client.key
EOF
SM_CONF=$work/mounts
export SM_CONF
unset SM_LOG LD_PRELOAD
kinds='/sm/dish /sm/muf /sm/smc'

# serve NAME PROGRAM ARGUMENT...: starts a server at NAME.sock
serve()
{
	name=$1
	server=$BUILD/$2
	shift 2
	start -Z pki/root.crt pki/server.crt pki/server.key "$@" "$work/$name.sock"
	await "$name starts" has log "listening on $work/$name.sock"
}

serve dish smdishserver
dish=$pid
serve muf smufserver -r memdir
muf=$pid

# program NAME OPTION...: builds NAME.c of this folder
program()
{
	name=$1
	shift
	${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -pthread -I "$SRC" "$@" -o "$work/$name" \
	    "$SRC/tests/preload/$name.c" || exit 1
}

# A sanitizer has to be loaded before the library that it is in; ThreadSanitizer wants its own addresses.
sanitizer=
fixed=
case ${VARIANT:-} in
asan) sanitizer="$(${CC:-cc} -print-file-name=libasan.so) $(${CC:-cc} -print-file-name=libubsan.so) " ;;
tsan)
	sanitizer="$(${CC:-cc} -print-file-name=libtsan.so) "
	fixed='setarch --addr-no-randomize'
	# It takes every mmap() for a write to that memory, which is the replica that others use. A handler that
	# locks a memory file calls malloc(3): smpreload(7).
	printf 'race_top:mmap\nrace_top:munmap\n' >suppressions
	TSAN_OPTIONS="${TSAN_OPTIONS:-} report_signal_unsafe=0 suppressions=$work/suppressions"
	export TSAN_OPTIONS
	;;
esac

# preloaded COMMAND...: runs it with the library, for a bounded time
preloaded()
{
	# shellcheck disable=SC2086 # words
	timeout -k 1 $((patience * 12)) $fixed env LD_PRELOAD="$sanitizer$library" "$@"
}

# bare COMMAND...: the same without the library
bare()
{
	timeout -k 1 $((patience * 12)) "$@"
}

# What a sanitizer says of programs that were not built with it is not about this library.
skip_if_sanitized()
{
	[ -n "$sanitizer" ] || return 0
	echo 'skipped: not with a sanitizer'
	finish
}

# how PATH: the function that runs a program on it
how()
{
	case $1 in
	/sm/*) echo preloaded ;;
	*) echo bare ;;
	esac
}
