# lib.sh: programs under the preloaded library, for the scripts of this folder, which source it;
# system/kinds.sh comes with it.
#
# Sets SM_CONF to the mount file of all kinds; $work/plain is the kernel's own. Programs of this
# folder are built with `program NAME`, without a header of the product, into $work.

# shellcheck shell=sh disable=SC2034 # some variables are for the scripts
# shellcheck source=tests/system/kinds.sh
. "${SRC:?}/tests/system/kinds.sh"
library=$BUILD/libsmpreload.so
chmod 755 "$work"
mkdir plain
SM_CONF=$work/mounts
export SM_CONF
unset SM_LOG LD_PRELOAD

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

# has_counter: instructions can be counted
has_counter()
{
	if [ -n "${VARIANT:-}" ]; then
		echo "skipped: a sanitizer's instructions are not counted"
		return 1
	fi
	command -v valgrind >/dev/null && return 0
	echo 'skipped: there is no valgrind to count instructions with'
	return 1
}

# how PATH: the function that runs a program on it
how()
{
	case $1 in
	/sm/*) echo preloaded ;;
	*) echo bare ;;
	esac
}
