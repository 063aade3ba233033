#!/bin/sh
# layers.sh [ROOT]: no include points upward.  ROOT is the repository (default: here).
#
# The layers, lowest first; a folder may include itself and what is below it, never what
# is beside it.  tests may include anything, and nobody else includes tests.
#
#	base < crypto < host < lock, wire < server/core < server
#	                        lock, wire < client/track < client < remote
#	server, remote < smdish, smuf, smc < preload, bench, deploy
#
# A path is written from the root of the repository ("common/base/buf.h"), and OpenSSL is
# seen by common/crypto, bench/ruler.c and tests only.  Prints file:line and the rule that
# was broken, and exits 1 if there was any.

set -u
cd "${1:-.}" || exit 1

folders=
for folder in common smdish smuf smc bench deploy tests; do
	[ ! -d $folder ] || folders="$folders $folder"
done
[ -n "$folders" ] || {
	echo "layers.sh: there is nothing to check in $(pwd)" >&2
	exit 1
}

# shellcheck disable=SC2086 # folders are words
find $folders -type f \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' \) -exec awk '
BEGIN {
	height["common/base"] = 1
	height["common/crypto"] = 2
	height["common/host"] = 3
	height["common/lock"] = height["common/wire"] = 4
	height["common/server/core"] = height["common/client/track"] = 5
	height["common/server"] = height["common/client"] = 6
	height["common/remote"] = 7
	height["smdish"] = height["smuf"] = height["smc"] = 8
	height["common/preload"] = height["bench"] = height["deploy"] = 9
	height["tests"] = 10
}

# The layer a path from the root belongs to: the longest folder that has a height; "" when none has.
function layer_of(path)
{
	while (sub(/\/[^\/]*$/, "", path))
		if (path in height)
			return path
	return ""
}

# What is beside or below in height may still be on another branch: the server and the client know
# nothing of each other.
function is_other_branch(from, to)
{
	return (from ~ /^common\/server/ && to ~ /^common\/(client|remote)/) ||
	    (from ~ /^common\/(client|remote)/ && to ~ /^common\/server/)
}

function broken(rule)
{
	printf "%s:%d: %s\n", FILENAME, FNR, rule
	failed = 1
}

FNR == 1 {
	from = layer_of(FILENAME)
	if (from == "")
		broken("this folder is no layer: give it a height in tests/lint/layers.sh")
}

/^[ \t]*#[ \t]*include/ {
	line = $0
	sub(/^[ \t]*#[ \t]*include(_next)?[ \t]*/, "", line)
	quote = substr(line, 1, 1)
	if (quote != "\"" && quote != "<") {
		broken("an include names its file, not a macro: " line)
		next
	}
	path = substr(line, 2)
	sub(/[">].*/, "", path)
	if (("/" path "/") ~ /\/\.\.?\//) {
		broken("an include path has no . and .. in it: " path)
		next
	}
	if (path ~ /^openssl\//) {
		if (from != "common/crypto" && from != "tests" && FILENAME != "bench/ruler.c")
			broken("OpenSSL is included in common/crypto only: " path)
		next
	}
	# The name under which it is installed, for those who show its use.
	if (path == "smclient.h" && quote == "<")
		path = "common/client/smclient.h"
	to = layer_of(path)
	if (to == "") {
		if (quote == "\"")
			broken("an include path begins at the root of the repository" \
			    " (\"common/base/buf.h\"): " path)
		next
	}
	if (from == "" || from == to || from == "tests" ||
	    (height[to] < height[from] && !is_other_branch(from, to)))
		next
	broken(from " is " (height[to] > height[from] && !is_other_branch(from, to) ? "below " : "beside ") to \
	    " and includes nothing of it: " path)
}

END {
	exit failed
}
' {} +
