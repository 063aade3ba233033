#!/bin/sh
# The tests of cases.sh where the system answers as in Gramine (launch.c, interposer.c).

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

# The sanitizers' libraries have to be the first ones.
case ${VARIANT:-} in
asan | tsan)
	echo "skipped: no library can be preloaded before a sanitizer's"
	exit 0
	;;
esac
libos=$BUILD/libos
"$libos" /bin/true
[ $? -ne 77 ] || {
	echo 'skipped: no seccomp filters here'
	exit 0
}

# shellcheck disable=SC2317 # the cases call these two
go()
{
	how=$1
	program=$BUILD/$2
	shift 2
	case $how in
	outside) exec "$program" "$@" ;;
	flock) exec "$libos" -f "$program" "$@" ;;
	shm) LIBOS_SHM=$work/memdir exec "$libos" "$program" "$@" ;;
	plain) exec "$libos" "$program" "$@" ;;
	esac
}

# shellcheck disable=SC2317
signal_server()
{
	kill -s "$1" $pid
}

# shellcheck source=tests/ground/cases.sh
. "$SRC/tests/ground/cases.sh"
run_all
finish
