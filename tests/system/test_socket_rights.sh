#!/bin/sh
# The group and mode of the servers' sockets: -g and -M.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

# access FILE: kind, mode and group
access()
{
	stat -c '%F %a %g' "$1"
}

# Group and mode, whatever the umask and the directory; a socket file only.
own=$(id -g)
for mask in 000 077; do
	umask $mask
	start -M 0606 -g "$own" ./sock abstract:memserver-mode-$$
	await "-M, umask $mask: it serves" answers unix ./sock
	expect "-M, umask $mask" "socket 606 $own" "$(access sock)"
	end "-M, umask $mask"
done
umask 022
if [ "$(id -u)" = 0 ]; then
	mkdir shared && chgrp 47111 shared && chmod 2777 shared || exit 1
	start -g 47110 ./sock ./shared/sock
	await '-g, a number: it serves' answers unix ./shared/sock
	expect '-g, a number' 'socket 660 47110' "$(access sock)"
	expect '-g in a directory that has its own' 'socket 660 47110' "$(access shared/sock)"
	end '-g'
	name=$(getent group | awk -F: '$3 != 0 { print $1; exit }')
	start --socket-group "$name" --socket-mode 640 ./sock
	await '-g, a name: it serves' answers unix ./sock
	expect '-g, a name' "socket 640 $(getent group "$name" | cut -d: -f3)" "$(access sock)"
	end '-g, a name'
	# Another user may give files to groups that it is a member of.
	cp "$server" ./server && chmod 777 . || exit 1
	for groups in '--groups 47110' --clear-groups; do
		: >log
		# shellcheck disable=SC2086 # words
		setpriv --reuid 65534 --regid 65534 $groups timeout -k 1 "$patience" ./server -g 47110 ./member 2>>log &
		pid=$!
		remember "$pid"
		case $groups in
		--clear-groups)
			wait $pid
			expect '-g without the right: exit status' 1 $?
			expect_match '-g without the right' '*cannot listen on ./member: only root, or a member of the group, may*' "$(cat log)"
			expect '-g without the right: nothing is left' '' "$(ls member 2>/dev/null)"
			;;
		*)
			await '-g of a member: it serves' answers unix ./member
			expect '-g of a member' 'socket 660 47110' "$(access member)"
			end '-g of a member'
			;;
		esac
	done
else
	echo 'skipped: only root gives sockets to any group'
fi

finish
