#!/bin/sh
# deploy/examples: the program in C, in C++ and in Python count together, exactly, over each kind of memory
# file, and say what is wrong.

# shellcheck source=tests/system/kinds.sh
. "${SRC:?}/tests/system/kinds.sh"
examples=$SRC/deploy/examples
times=200
PYTHONPATH=$SRC/deploy/python
LD_LIBRARY_PATH=$BUILD
PYTHONDONTWRITEBYTECODE=yes
export PYTHONPATH LD_LIBRARY_PATH PYTHONDONTWRITEBYTECODE

# A sanitized library needs the same runtime in the program; Python has none.
programs="./c ./cc $examples/counter.py"
case ${VARIANT:-} in
asan) flags=-fsanitize=address,undefined programs='./c ./cc' ;;
tsan) flags=-fsanitize=thread programs='./c ./cc' ;;
*) flags= ;;
esac
[ -z "$flags" ] || echo "skipped: the example in Python, which has no sanitizer's runtime"

# build PROGRAM COMPILER STANDARD: compiles counter.PROGRAM with all warnings
build()
{
	expect "counter.$1 is compiled" '' "$($2 $flags "-std=$3" -Wall -Wextra -Wpedantic -I "$SRC/common/client" \
	    -o "$1" "$examples/counter.$1" -L "$BUILD" -lsmclient 2>&1)"
}

build c "${CC:-cc}" c11
if command -v "${CXX:-c++}" >/dev/null; then
	build cc "${CXX:-c++}" c++11
else
	echo 'skipped: there is no C++ compiler'
	programs=$(echo "$programs" | sed 's|\./cc||')
fi

# has_lines FILE COUNT
has_lines()
{
	[ "$(wc -l <"$1")" -ge "$2" ]
}

for place in $kinds; do
	grep "^[A-Z]*FILE \|^MOUNT [^ ]* $place " mounts | sed "s|$place|/shared|" >app.conf
	expect "$place: the mount file" 1 "$(grep -c ' /shared ' app.conf)"
	: >sums
	mkfifo hold
	running=
	for program in $programs; do
		"$program" app.conf $times <hold >>sums 2>&1 &
		running="$running $!"
	done
	exec 9>hold
	expected=$(echo "$programs" | wc -w)
	# Each prints its sum when it has counted; the last one's is that of all.
	await "$place: all have counted" has_lines sums "$expected"
	expect "$place: the last sum" $((expected * times)) "$(sort -n sums | tail -n 1)"
	exec 9>&-
	for program in $running; do
		wait "$program"
		expect "$place: exit status" 0 $?
	done
	rm hold
done

for program in $programs; do
	expect_match "$program without arguments" 'usage: counter*' "$("$program" 2>&1)"
	expect_match "$program without a mount file" '*none.conf*' "$("$program" none.conf 1 2>&1)"
	"$program" none.conf 1 >/dev/null 2>&1
	expect "$program without a mount file: exit status" 1 $?
done
finish
