# The rules of layers.sh for one source after the other. Goes with layers.awk.

function broken(rule)
{
	printf "%s:%d: %s\n", FILENAME, FNR, rule
	failed = 1
}

FNR == 1 {
	from = room_of(FILENAME)
	if (from == "")
		broken("this folder is no room: give it a height in tests/lint/layers.txt")
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
	# The name under which it is installed, for programs that show its use.
	if (path == "smclient.h" && quote == "<")
		path = "common/client/smclient.h"
	to = room_of(path)
	if (to == "") {
		if (quote == "\"")
			broken("an include path begins at the root of the repository" \
			    " (\"common/base/buf.h\"): " path)
		next
	}
	why = from == "" ? "" : why_not(from, to)
	if (why != "")
		broken(from " is " why " " to " and includes nothing of it: " path)
}

END {
	exit failed
}
