#!/bin/sh
# layers.sh [ROOT]: no include points upward.  ROOT is the repository (default: here).
#
# The layers, lowest first; a folder may include itself and what is below it, never what
# is beside it.  tests may include anything, and nobody else includes tests.
#
#	base < crypto < wire < memfile < server, client < smdish, smuf, smc < bench, deploy
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
	height["common/wire"] = 3
	height["common/memfile"] = 4
	height["common/server"] = height["common/client"] = 5
	height["smdish"] = height["smuf"] = height["smc"] = 6
	height["bench"] = height["deploy"] = 7
	height["tests"] = 8
}

# The layer a path from the root belongs to, or "".
function layer_of(path,    part, count, layer)
{
	count = split(path, part, "/")
	if (count < 2)
		return ""
	layer = part[1]
	if (layer == "common") {
		if (count < 3)
			return ""
		layer = layer "/" part[2]
	}
	return layer in height ? layer : ""
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
	if (from == "" || from == to || from == "tests" || height[to] < height[from])
		next
	broken(from " is " (height[to] > height[from] ? "below " : "beside ") to \
	    " and includes nothing of it: " path)
}

END {
	exit failed
}
' {} +
