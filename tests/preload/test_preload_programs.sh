#!/bin/sh
# Programs of Debian, unmodified, count exactly over each kind of memory file with several processes at once:
# python3, perl and flock(1); and smrun, which starts them.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
skip_if_sanitized

for place in $kinds; do
	! has_program python3 ||
	    expect "$place: python3, 3 children of 200" 600 "$(preloaded /usr/bin/python3 "$SRC/tests/preload/count.py" "$place/python" 3 200 2>&1)"
	! has_program perl || for how in flock fcntl; do
		expect "$place: perl with $how, 4 children of 100" 400 \
		    "$(preloaded /usr/bin/perl "$SRC/tests/preload/count.pl" "$place/perl$how" $how counter 4 100 2>&1)"
	done
	! has_program flock || expect "$place: flock(1) around 4 shells" 20 \
	    "$(preloaded sh "$SRC/tests/preload/count.sh" "$place/shells" counter 4 5 2>&1)"

	# flock(1) with a number gets the descriptor by exec: it fails, and says so.
	expect_match "$place: (flock 9; ...) 9>file" '*9: Bad file descriptor*not zero' \
	    "$(preloaded sh -c '(flock 9 && echo locked || echo not zero) 9>"$1"' sh "$place/nine" 2>&1)"
done

# What smrun says of programs.
expect_match 'smrun --check of a dynamic program' '*/sh: linked dynamically: served' "$("$BUILD/smrun" --check /bin/sh 2>&1)"
printf 'int main(void) { return 0; }\n' >static.c
if ${CC:-cc} -static -o static static.c 2>/dev/null; then
	expect_match 'smrun --check of a static program' '*static: linked statically: no preloaded library reaches it' \
	    "$("$BUILD/smrun" --check ./static 2>&1)"
	"$BUILD/smrun" mounts ./static 2>/dev/null
	expect 'smrun refuses it' 126 $?
fi
printf '#!/bin/sh\n' >script
chmod 755 script
expect_match 'smrun --check of a script' './script: a script of /bin/sh*served' "$("$BUILD/smrun" --check ./script 2>&1)"
"$BUILD/smrun" --check ./nothing 2>/dev/null
expect 'smrun --check of nothing' 127 $?
sed "s|/sm/dish|$work/plain|" mounts >exists
expect_match 'smrun refuses a mount point that exists' "*$work/plain: the mount point must not exist*" "$("$BUILD/smrun" exists true 2>&1)"
expect 'smrun runs a program' 'locked' "$(unset SM_CONF; "$BUILD/smrun" mounts flock /sm/dish/x echo locked 2>&1)"

# Lines: for a server that is not there, and without them.
sed "s|$work/dish.sock|$work/none.sock|" mounts >none
# shellcheck disable=SC2016 # the inner shell's
open='exec 9<>/sm/dish/x || echo failed'
expect_match 'a failure is told, with program and path' 'libsmpreload: sh?*?: /sm/dish/x: open: *none.sock*' \
    "$(SM_CONF=$work/none preloaded sh -c "$open" 2>&1)"
SM_LOG=$work/lines SM_CONF=$work/none preloaded sh -c "$open" >/dev/null 2>&1
expect_match 'SM_LOG=file' 'libsmpreload: *none.sock*' "$(cat lines)"
expect 'SM_LOG=off' 0 "$(SM_LOG=off SM_CONF=$work/none preloaded sh -c "$open" 2>&1 | grep -c libsmpreload)"
expect_match 'a mount file that is not there' 'libsmpreload: true?*?: */nowhere: the mount file cannot be read*' \
    "$(SM_CONF=$work/nowhere preloaded true 2>&1)"
finish
