#!/bin/sh
# Not as root: www-data, and two users with a group in common, count exactly over each kind of memory file.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
skip_if_sanitized
program sections

[ "$(id -u)" = 0 ] || {
	echo 'skipped: only root can become other users'
	finish
}

# The users need no names, but a group: it gets sockets, directories and keys.
group=$(id -g www-data)
www=$(id -u www-data)
chgrp "$group" . dish.sock muf.sock memdir smcdir key pki pki/client.key
chmod 2770 smcdir
chmod 2750 memdir
chmod 640 key pki/client.key
chmod 750 pki
for part in "$BUILD" "$(dirname "$BUILD")" "$SRC"; do
	setpriv --reuid "$www" --regid "$group" --clear-groups test -x "$part" || {
		echo "skipped: others may not enter $part"
		finish
	}
done

# as USER GROUP COMMAND...: USER, whose own group is GROUP, is in the common group, too
as()
{
	user=$1
	own=$2
	shift 2
	preloaded setpriv --reuid "$user" --regid "$own" --groups "$group" "$@"
}

umask 007
for place in $kinds; do
	expect "$place: www-data" 600 "$(as "$www" "$group" ./sections fork "$place/www" 3 200 2>&1)"

	mkfifo until
	as 54321 54321 ./sections hold "$place/two" <until >held 2>&1 &
	holder=$!
	exec 8>until
	await "$place: one user opens a file" has held open
	as 54321 54321 ./sections alone "$place/two" 300 &
	first=$!
	as 54322 54322 ./sections alone "$place/two" 300 &
	second=$!
	wait "$first"
	expect "$place: the first user" 0 $?
	wait "$second"
	expect "$place: the second user" 0 $?
	exec 8>&-
	wait "$holder"
	expect "$place: two users with a group in common" 'open 600' "$(tr '\n' ' ' <held | sed 's/ $//')"
	# The next holder makes it anew, perhaps after the look at it.
	rm until held
done
finish
