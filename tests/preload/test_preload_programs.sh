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
else
	echo 'skipped: nothing can be linked statically here'
fi
printf '#!/bin/sh\n' >script
chmod 755 script
expect_match 'smrun --check of a script' './script: a script of /bin/sh*served' "$("$BUILD/smrun" --check ./script 2>&1)"
"$BUILD/smrun" --check ./nothing 2>/dev/null
expect 'smrun --check of nothing' 127 $?
sed "s|/sm/dish|$work/plain|" mounts >exists
expect_match 'smrun refuses a mount point that exists' "*$work/plain: the mount point must not exist*" "$("$BUILD/smrun" exists true 2>&1)"
expect 'smrun runs a program' 'locked' "$(unset SM_CONF; "$BUILD/smrun" mounts flock /sm/dish/x echo locked 2>&1)"
expect 'smrun leaves streams closed that its caller has closed' 'ran' \
    "$("$BUILD/smrun" mounts sh -c '[ -e /proc/$$/fd/0 ] || [ -e /proc/$$/fd/2 ] || echo ran' <&- 2>&-)"
others=$(yes libc.so.6 | head -n 1000 | tr '\n' ':')
expect 'smrun passes a long LD_PRELOAD on' "$library:$others" \
    "$(LD_PRELOAD=$others "$BUILD/smrun" mounts sh -c 'echo "$LD_PRELOAD"' 2>&1)"
sed "s|$work/dish.sock|$work/none.sock|" mounts >none
expect 'smrun runs a program whose server is not there' 'ran' "$("$BUILD/smrun" none echo ran 2>&1)"

# Lines: for a server that is not there, and without them.
# shellcheck disable=SC2016 # the inner shell's
open='exec 9<>/sm/dish/x || echo failed'
expect_match 'a failure is told, with program and path' 'libsmpreload: sh?*?: /sm/dish/x: open: *none.sock*' \
    "$(SM_CONF=$work/none preloaded sh -c "$open" 2>&1)"
SM_LOG=$work/lines SM_CONF=$work/none preloaded sh -c "$open" >/dev/null 2>&1
expect_match 'SM_LOG=file' 'libsmpreload: *none.sock*' "$(cat lines)"
expect 'SM_LOG=off' 0 "$(SM_LOG=off SM_CONF=$work/none preloaded sh -c "$open" 2>&1 | grep -c libsmpreload)"
expect_match 'a mount file that is not there' 'libsmpreload: true?*?: */nowhere: the mount file cannot be read*' \
    "$(SM_CONF=$work/nowhere preloaded true 2>&1)"
expect_match 'a mount file that is a directory' "libsmpreload: true?*?: $work/plain: the mount file cannot be read, nothing is served: Is a directory" \
    "$(SM_CONF=$work/plain preloaded true 2>&1)"
: >empty
expect_match 'an empty mount file' "libsmpreload: true?*?: $work/empty: there is no mount in the mount file: nothing is served" \
    "$(SM_CONF=$work/empty preloaded true 2>&1)"

# refused WHAT WORDS LINE...: with a mount file of these lines nothing that is below $work/host reaches the host, where
# that directory is; and the words are told, at the start.
mkdir host
refused()
{
	what=$1 words=$2
	shift 2
	printf '%s\n' "$@" >faulty
	expect_match "$what: at the start" "$words" "$(SM_CONF=$work/faulty preloaded true 2>&1)"
	SM_CONF=$work/faulty preloaded sh -c 'exec >"$1"; echo secret' sh "$work/host/file" 2>err
	expect "$what: what the host got" '' "$(find host -type f)"
	expect_match "$what: at the first file" "*libsmpreload: *$work/*" "$(cat err)"
	rm -f host/file
}
refused 'a type misspelt' "libsmpreload: true?*?: $work/faulty:1: there is no such type of mount (smdish, smuf, smc): no memory file can be opened" \
    "MOUNT unix:$work/dish.sock $work/host smdihs"
refused 'a directive misspelt' "libsmpreload: true?*?: $work/faulty:1: there is no such directive (MOUNT,*): no memory file can be opened" \
    "MOUTN unix:$work/dish.sock $work/host smdish"
refused 'a variable that is not set' "libsmpreload: true?*?: $work/faulty:1: a word is malformed: *" \
    "MOUNT unix:\$MEMSERVER_NOWHERE $work/host smdish"
refused 'a type missing' "*$work/faulty:1: MOUNT needs a URI, a path and a type: *" "MOUNT unix:$work/dish.sock $work/host"
refused 'a good line before a bad one' "*$work/faulty:2: there is no such type of mount*" \
    "MOUNT unix:$work/dish.sock $work/host smdish" "MOUNT unix:$work/dish.sock /other smdihs"
refused 'a bad line before a good one' "*$work/faulty:1: there is no such type of mount*" \
    "MOUNT unix:$work/dish.sock /other smdihs" "MOUNT unix:$work/dish.sock $work/host smdish"
refused 'a certificate missing' '' "MOUNT unix:$work/dish.sock $work/host smdish" 'CAFILE none'
# This one is good, but for its server: a packager mounts the directory at the second path.
refused 'two paths' '' "MOUNT unix:$work/none.sock,file:$work/plain $work/host,/files smuf"
{
	echo "MOUNT unix:$work/dish.sock $work/host smdish"
	head -c 1048576 /dev/zero | tr '\0' '#'
} >large
expect_match 'a file that is too large' "*$work/large: the mount file is too large: no memory file can be opened" \
    "$(SM_CONF=$work/large preloaded true 2>&1)"

# The library by itself, which finds no libsmclient.
mkdir alone && cp "$library" alone
expect_match 'without libsmclient' 'libsmpreload: *libsmclient.so.*1' \
    "$(bare env LD_PRELOAD="$work/alone/libsmpreload.so" sh -c 'test -e /sm/dish/x; echo $?' 2>&1)"
finish
