#!/bin/sh
# smclient(3) is well-formed, says of the functions, errors and options what smclient.h says, and its programs
# compile and run with its mount file and its server; the one that does its work again when the server had
# taken the lock away is made to.
set -eu
: "${SRC:?}" "${BUILD:?}" "${TMPDIR:?}" "${CC:=cc}"
LC_ALL=C
export LC_ALL
page=$SRC/common/client/smclient.3
header=$SRC/common/client/smclient.h
cd "$TMPDIR"
fail() {
	printf 'FAILED: %s\n' "$*"
	exit 1
}

# same WHAT: the file `wanted` has what smclient.h says of it, `came` what smclient(3) does
same() {
	[ -s wanted ] || fail "smclient.h: no $1 found"
	diff -u wanted came || fail "$1: - is in smclient.h, + is in smclient(3)"
}

if command -v mandoc >/dev/null; then
	mandoc -Tlint -Wwarning "$page" >lint 2>&1 || true
	[ ! -s lint ] || fail "mandoc: $(cat lint)"
else
	echo "skipped: there is no mandoc to check the page with"
fi

# The prototypes, each on one line, in the order of the header.
awk '
sub(/^SMCLIENT_PUBLIC /, "") { is_open = 1; text = "" }
is_open { sub(/^ +/, " "); text = text $0 }
is_open && /;$/ { print text; is_open = 0 }' "$header" >wanted
cp wanted prototypes
awk '
function emit() { print type (type ~ /\*$/ ? "" : " ") name "(" arguments ");" }
function add(text) { arguments = arguments (arguments == "" ? "" : ", ") text }
/^\.Sh / { is_synopsis = $2 == "SYNOPSIS" }
!is_synopsis { next }
{ rest = $0; sub(/^\.[A-Z][a-z] /, "", rest) }
/^\.Ft / { gsub(/"/, "", rest); type = rest }
/^\.F[no] / { name = $2; arguments = "" }
/^\.Fn / { n = split(rest, parts, "\""); for (i = 2; i <= n; i += 2) add(parts[i]); emit() }
/^\.Fa / { gsub(/"/, "", rest); add(rest) }
/^\.Fc/ { emit() }' "$page" >came
same "prototypes"

# Each function is named on top, and described, with the arguments' names as they are.
sed 's/.*[ *]\(sm_[a-z]*\)(.*/\1/' prototypes >wanted
sed -n 's/^\.Nm \(sm_[a-z]*\)\( ,\)*$/\1/p' "$page" >came
same "functions under NAME"
sed 's/.*[ *]\(sm_[a-z]*\)(\(.*\));$/\1 (\2/; s/(void$//; s/[(,][^,]*[ *]\([a-z]*\)/ \1/g' prototypes |
	tr -s ' ' | sed 's/ $//' | sort >wanted
sed -n 's/^\.It Fn \(sm_.*\)$/\1/p' "$page" | sort >came
same "functions described"
# Nothing else by such a name is mentioned, but for the header's types.
grep -o 'sm_[a-z_]*' "$header" | sort -u >known
grep -o '\<sm_[a-z_]*' "$page" | sort -u | comm -13 known - >unknown
[ ! -s unknown ] || fail "smclient(3) mentions what smclient.h does not know: $(tr '\n' ' ' <unknown)"

awk '/^ \* errno/ { is_table = 1 } / \*\/$/ { is_table = 0 } is_table' "$header" |
	sed -n 's/^ \*	\(E[A-Z, E]*\)	.*/\1/p' | tr -s ', ' '\n' >wanted
sed -n 's/^\.It Bq Er //p' "$page" | tr -s ', ' '\n' >came
same "errors"

sed -n '/^struct sm_stat {/,/^}/s/^	\([a-z0-9_]* [a-z_]*\).*/\1/p' "$header" >wanted
sed -n 's/^\.It Vt \([a-z0-9_]*\) Va \([a-z_]*\).*/\1 \2/p' "$page" >came
same "members of struct sm_stat"
sed -n 's/^	\(SM_TYPE_[A-Z]*\) = .*/\1/p' "$header" >wanted
sed -n 's/^\.Dv \(SM_TYPE_[A-Z]*\).*/\1/p' "$page" >came
same "types of memory files"

# sync=delta|full
sed -n 's/^ \*	\([a-z]*=[A-Za-z|]*\)\(	.*\)*$/\1/p' "$header" >wanted
sed -n 's/^\.It Cm \([a-z]*\) Ns = Ns [A-Z][a-z] \(.*\)$/\1=\2/p' "$page" | tr -d ' ' >came
same "options of a mount"

# The examples: what is displayed below each comment that names a file.
awk '
function bad(what) { printf "%d: %s\n", NR, what; exit 1 }
/^\.\\" example: / { name = $3; next }
/^\.Bd / {
	if (name == "" || is_open) bad("a display without a comment that names its file")
	is_open = 1
	print name
	next
}
/^\.Ed/ { close(name); name = ""; is_open = 0; next }
name != "" && !is_open { bad("a display must follow the comment") }
is_open {
	if (/^[.\047]/) bad("a line that roff takes for a macro")
	gsub(/\\&/, "")
	line = $0
	gsub(/\\e/, "", line)
	if (line ~ /\\/) bad("a backslash, which must be \\e")
	gsub(/\\e/, "\\")
	print >name
}' "$page" >examples || fail "smclient.3, line $(tail -n 1 examples)"
[ "$(sort examples | tr '\n' ' ')" = "accounts.c app.conf counter.c " ] ||
	fail "these are not the examples that are known here: $(cat examples)"

# Compiled, and run with the page's mount file against servers that are started as the page says: one, and one that
# takes locks away after half a second.
"$SRC/deploy/mkpki" init pki
"$SRC/deploy/mkpki" server pki smdish
"$SRC/deploy/mkpki" client pki app
command=$(sed -n 's/^\.Ql smdishserver \(-Z .* \/run\/smdish\.sock\) :$/\1/p' "$page")
[ -n "$command" ] || fail "the page does not say how the server is started"
grep -q '^MOUNT unix:/run/smdish\.sock ' app.conf || fail "the mount file has no /run/smdish.sock: $(cat app.conf)"
servers=
trap 'kill $servers 2>/dev/null || true' EXIT

# start NAME [OPTIONS]: a server at the socket NAME, with the log NAME.log and the mount file NAME.conf
start() {
	sed "s|/run/smdish\.sock|$TMPDIR/$1|" app.conf >"$1.conf"
	# shellcheck disable=SC2046,SC2086 # words
	"$BUILD/smdishserver" -l "$1.log" ${2:-} $(echo "$command" | sed "s|/run/smdish\.sock|$TMPDIR/$1|") &
	servers="$servers $!"
	tries=0
	until [ -S "$1" ]; do
		tries=$((tries + 1))
		[ $tries -lt 400 ] || fail "the server $1 does not listen: $(cat "$1.log")"
		sleep 0.05
	done
}

# compile PROGRAM SOURCE... [OPTION]
compile() {
	program=$1
	shift
	# shellcheck disable=SC2086 # words
	$CC $flags -Wall -Wextra -Werror -I "$SRC/common/client" "$@" "$BUILD/libsmclient.a" \
	    -lssl -lcrypto -lbsd -pthread -o "$program" || fail "compiling $program"
}

# run PROGRAM SERVER EXPECTED
run() {
	status=0
	timeout 120 "./$1" "$2.conf" >out 2>err || status=$?
	[ $status -eq 0 ] || fail "$1: exit status $status: $(cat err); the server's log: $(cat "$2.log")"
	[ "$(cat out)" = "$3" ] || fail "$1: expected '$3', got '$(cat out)'"
	[ ! -s err ] || fail "$1: $(cat err)"
}

case ${VARIANT:-} in
'') flags= ;;
asan) flags=-fsanitize=address,undefined ;;
tsan) flags=-fsanitize=thread ;;
*) fail "no such variant: $VARIANT" ;;
esac
start plain
start strict '-t 500'
compile counter counter.c
run counter plain 4000
compile accounts accounts.c
run accounts plain '-499500 and 499500'

# Here each process comes too late with its first sm_unlock(): not before somebody else got the lock.
cat >late.c <<'END'
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <smclient.h>

int __real_sm_unlock(struct sm_file *file);
int __wrap_sm_unlock(struct sm_file *file);

int
__wrap_sm_unlock(struct sm_file *file)
{
	static int calls;
	struct sm_file *other;
	struct sm *sm;
	int result;

	if (calls++ > 0)
		return __real_sm_unlock(file);
	sm = sm_new();
	if (sm == NULL || sm_load(sm, "strict.conf") != 0 ||
	    (other = sm_open(sm, "/shared/accounts")) == NULL || sm_lock(other) != 0) {
		fprintf(stderr, "late.c: %s\n", sm_error(sm));
		exit(EXIT_FAILURE);
	}
	sm_free(sm);
	result = __real_sm_unlock(file);
	if (result == 0 || errno != ESTALE) {
		fprintf(stderr, "late.c: the lock was not taken away\n");
		exit(EXIT_FAILURE);
	}
	return result;
}
END
compile accounts_late accounts.c late.c -Wl,--wrap=sm_unlock
run accounts_late strict '-499500 and 499500'
lost=$(grep -c 'held the lock of .* and lost it' strict.log || true)
[ "$lost" -ge 2 ] || fail "the reader and the writer should have lost a lock each: $(cat strict.log)"

for server in $servers; do
	kill "$server"
	wait "$server" || fail "a server's exit status; the logs: $(cat plain.log strict.log)"
done
servers=
echo ok
