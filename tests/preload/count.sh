#!/bin/sh
# count.sh LOCK COUNTER SHELLS SECTIONS: shells count in the plain file COUNTER, a section at a time, each of
# which is a shell that flock(1) starts while it has the file LOCK locked. Prints the counter.

lock=$1
counter=$2
shells=$3
sections=$4
# shellcheck disable=SC2016 # the inner shell's
section='read -r n <"$1"; echo $((n + 1)) >"$1"'

count()
{
	while [ "$sections" -gt 0 ]; do
		flock "$lock" sh -c "$section" sh "$counter" || exit
		sections=$((sections - 1))
	done
}

echo 0 >"$counter"
started=
while [ "$shells" -gt 0 ]; do
	count &
	started="$started $!"
	shells=$((shells - 1))
done
for each in $started; do
	wait "$each" || exit
done
cat "$counter"
