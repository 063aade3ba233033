#!/bin/sh
# smclient(3) agrees with smclient.h about functions and errors, and smclient.conf(5) about options and with
# the parser about directives. The programs of smclient(3) compile and run with its mount files of all three types and its servers; the one that
# repeats its work after the server has taken the lock away is forced to.
set -eu
: "${SRC:?}" "${BUILD:?}" "${TMPDIR:?}" "${CC:=cc}"
LC_ALL=C
export LC_ALL
page=$SRC/common/client/smclient.3
mounts=$SRC/common/client/smclient.conf.5
header=$SRC/common/client/smclient.h
cd "$TMPDIR"
often=$("$BUILD/patience" 100)   # to look, before it counts as failed
longest=$("$BUILD/patience" 120) # seconds that a program may take
fail() {
	printf 'FAILED: %s\n' "$*"
	exit 1
}

# same WHAT: the file `wanted` has the words of smclient.h, `came` those of smclient(3)
same() {
	[ -s wanted ] || fail "smclient.h: no $1 found"
	diff -u wanted came || fail "$1: - is in smclient.h, + is in smclient(3)"
}

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

# The page names each function on top, and describes it with the arguments' names of the header.
sed 's/.*[ *]\(sm_[a-z_]*\)(.*/\1/' prototypes >wanted
sed -n 's/^\.Nm \(sm_[a-z_]*\)\( ,\)*$/\1/p' "$page" >came
same "functions under NAME"
sed 's/.*[ *]\(sm_[a-z_]*\)(\(.*\));$/\1 (\2/; s/(void$//; s/[(,][^,]*[ *]\([a-z]*\)/ \1/g' prototypes |
	tr -s ' ' | sed 's/ $//' | sort >wanted
sed -n 's/^\.It Fn \(sm_.*\)$/\1/p' "$page" | sort >came
same "functions described"
# The page mentions no other such name, except the header's types.
grep -o 'sm_[a-z_]*' "$header" | sort -u >known
grep -o '\<sm_[a-z_]*' "$page" | sort -u | comm -13 known - >unknown
[ ! -s unknown ] || fail "smclient(3) mentions what smclient.h does not know: $(tr '\n' ' ' <unknown)"

# The table of bounds has every function, and the rows of the test that measures it.
sed -n 's/^	{ "\([^"]*\)", call_.*/\1/p' "$SRC/tests/stress/calls.c" >wanted
sed -n '/^\.Bl -column/,/^\.El/s/^\.It \([a-z].*\) Ta .* Ta .* Ta .* Ta .* Ta .*/\1/p' "$page" >came
diff -u wanted came || fail "bounds: - is in calls.c, + is in smclient(3)"
sed 's/.*[ *]\(sm_[a-z_]*\)(.*/\1/' prototypes | sort >wanted
grep -o 'sm_[a-z_]*' came | sort -u >measured
mv measured came
same "functions with a bound"

# The errors that the header names, each once in the table of the page.
grep -o '\<E[A-Z][A-Z]*\>' "$header" | sort -u >wanted
sed -n 's/^\.It Bq Er //p' "$page" | tr -s ', ' '\n' | sort >came
same "errors"
awk '
/^\.It Bq Er / { if (entry != "") print entry; entry = $0; is_table = 1 }
/^\.Em Remedy :$/ { entry = "" }
/^\.El/ && is_table { if (entry != "") print entry; exit }' "$page" >without
[ ! -s without ] || fail "errors without a remedy: $(cat without)"

sed -n '/^struct sm_stat {/,/^}/s/^	\([a-z0-9_]* [a-z_]*\).*/\1/p' "$header" >wanted
sed -n '/^\.It Fn sm_stat/,/^\.El/s/^\.It Vt \([a-z0-9_]*\) Va \([a-z_]*\).*/\1 \2/p' "$page" >came
same "members of struct sm_stat"
sed -n '/^struct sm_holder {/,/^}/s/^	\([a-z0-9_]* [a-z_]*\).*/\1/p' "$header" >wanted
sed -n '/^\.It Fn sm_holder/,/^\.El/s/^\.It Vt \([a-z0-9_]*\) Va \([a-z_]*\).*/\1 \2/p' "$page" >came
same "members of struct sm_holder"
sed -n 's/^#define \(SM_OPEN_[A-Z]*\) .*/\1/p' "$header" >wanted
sed -n 's/^\.It Dv \(SM_OPEN_[A-Z]*\)$/\1/p' "$page" >came
same "flags of sm_open_flags"
sed -n 's/^#define \(SM_[A-Z]*\) .*/\1/p' "$header" >wanted
sed -n 's/^\.It Dv \(SM_[A-Z]*\)$/\1/p' "$page" >came
same "ways of sm_acquire"
sed -n 's/^	\(SM_TYPE_[A-Z]*\) = .*/\1/p' "$header" >wanted
sed -n 's/^\.Dv \(SM_TYPE_[A-Z]*\).*/\1/p' "$page" >came
same "types of memory files"

# sync=delta|full
sed -n 's/^ \*	\([a-z]*=[A-Za-z|]*\)\(	.*\)*$/\1/p' "$header" >wanted
sed -n 's/^\.It Cm \([a-z]*\) Ns = Ns [A-Z][a-z] \(.*\)$/\1=\2/p' "$mounts" | tr -d ' ' >came
same "options of a mount"

# The directives that the library reads or skips.
sed -n 's/.*strcmp(word, "\([A-Z]*\)") == 0.*/\1/p' "$SRC/common/client/mountfile.c" >found
sed -n '/words\[\] = {/,/};/p' "$SRC/common/client/directive.c" | grep -o '"[A-Z_]*"' | tr -d '"' >>found
sort -u found >wanted
sed -n '/^\.Ss Directives/,/^\.Ss Places/s/^\.It Ic \(.*\)/\1/p' "$mounts" |
	sed 's/ A[a-z] .*//; s/ , / /g' | tr ' ' '\n' | sort >came
diff -u wanted came || fail "directives: - is in mountfile.c or directive.c, + is in smclient.conf(5)"

# The examples: the display below each comment that names a file.
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
[ "$(sort examples | tr '\n' ' ')" = "accounts.c app.conf counter.c fence.c meet.c smc.conf smuf.conf " ] ||
	fail "these are not the examples that are known here: $(cat examples)"

# Compiles the examples and runs them with the page's mount files, against servers with the page's
# commands: smdishserver, another one that takes locks away after half a second, and smufserver.
"$SRC/deploy/mkpki" init pki
"$SRC/deploy/mkpki" server pki smdish
"$SRC/deploy/mkpki" server pki smuf
"$SRC/deploy/mkpki" client pki app
mkdir memdir smcdir
servers=
trap 'kill $servers 2>/dev/null || true' EXIT

# localise SOCKET <PAGE: replaces the page's places by ours
localise() {
	sed "s|/run/[a-z]*\.sock|$TMPDIR/$1|; s|/srv/smuf|$TMPDIR/memdir|; s|/srv/smc|$TMPDIR/smcdir|"
}

# start PROGRAM NAME EXAMPLE [OPTIONS]: starts a server as the page says, at the socket NAME, with
# the log NAME.log; makes the mount file NAME.conf of the page's EXAMPLE
start() {
	program=$1
	name=$2
	grep -q "^MOUNT unix:/run/[a-z]*\.sock" "$3" || fail "the mount file has no socket in /run: $(cat "$3")"
	localise "$name" <"$3" >"$name.conf"
	arguments=$(sed -n "s/^\.Ql $program \(-Z .* \/run\/[a-z]*\.sock\) :\$/\1/p" "$page" | localise "$name")
	[ -n "$arguments" ] || fail "the page does not say how $program is started"
	: >"$name.log"
	# shellcheck disable=SC2086 # words
	"$BUILD/$program" -l "$name.log" ${4:-} $arguments &
	servers="$servers $!"
	tries=0
	# Its socket is there a moment before it listens.
	until grep -q 'listening on' "$name.log"; do
		tries=$((tries + 1))
		[ $tries -lt $((4 * often)) ] || fail "the server $name does not listen: $(cat "$name.log")"
		sleep 0.05
	done
}

# compile PROGRAM SOURCE... [OPTION]
compile() {
	program=$1
	shift
	# shellcheck disable=SC2086 # words
	$CC $flags -Wall -Wextra ${WERROR:+-Werror} -I "$SRC/common/client" "$@" "$BUILD/libsmclient.a" \
	    -lssl -lcrypto -lbsd -pthread -o "$program" || fail "compiling $program"
}

# run PROGRAM MOUNTS EXPECTED: with the mount file MOUNTS.conf
run() {
	status=0
	timeout "$longest" "./$1" "$2.conf" >out 2>err || status=$?
	[ $status -eq 0 ] || fail "$1: exit status $status: $(cat err); the server's log: $(cat "$2.log" 2>&1)"
	[ "$(cat out)" = "$3" ] || fail "$1 with $2.conf: expected '$3', got '$(cat out)'"
	[ ! -s err ] || fail "$1: $(cat err)"
}

case ${VARIANT:-} in
'') flags= ;;
asan) flags=-fsanitize=address,undefined ;;
tsan) flags=-fsanitize=thread ;;
*) fail "no such variant: $VARIANT" ;;
esac
mv smuf.conf smuf.example
mv smc.conf smc.example
start smdishserver plain app.conf
start smdishserver strict app.conf '-t 500'
start smufserver sealed smuf.example
grep -q ' /srv/smc\|file:/srv/smc ' smc.example || fail "the mount file has no /srv/smc: $(cat smc.example)"
localise none <smc.example >smc.conf
command=$(sed -n 's/^\.Ql \(head -c 32 .*\) :$/\1/p' "$page")
[ -n "$command" ] || fail "the page does not say how the key is made"
eval "$command"
compile counter counter.c
compile accounts accounts.c
compile fence fence.c
for mounts in plain sealed smc; do
	run counter $mounts 4000
	run accounts $mounts '-499500 and 499500'
	run fence $mounts 'written, refused, refused, written, refused'
done

# Two processes that are not each other's child. One with another key gets an error, and one that
# comes alone does not wait for ever.
compile meet meet.c
./meet smcdir master.key >first 2>err &
guest=$!
timeout "$longest" ./meet smcdir master.key >second 2>>err || fail "meet: $(cat err)"
wait $guest || fail "meet: $(cat err)"
[ "$(sort first second | tr '\n' ' ')" = 'guest 1 guest 2 ' ] || fail "meet: got $(cat first second)"
[ -z "$(find smcdir -mindepth 1)" ] || fail "files are left: $(find smcdir)"
sed "s/PATIENCE_S = [0-9]*/PATIENCE_S = $((often / 25))/" meet.c >alone.c
compile alone alone.c
tr '\000-\377' '\001-\377\000' <master.key >other.key
./alone smcdir master.key >first 2>alone.err &
guest=$!
tries=0
until [ -e smcdir/meeting.segment ] || [ $tries -ge "$often" ]; do
	tries=$((tries + 1))
	sleep 0.01
done
! timeout "$longest" ./meet smcdir other.key >second 2>err || fail "meet: with another key: $(cat second)"
grep -q '^map: .*the master key of key= is not the one' err || fail "meet: with another key: $(cat err)"
! wait $guest || fail "meet: met nobody, and did not say so"
[ "$(cat alone.err)" = 'nobody came' ] || fail "meet: met nobody, and said: $(cat alone.err)"


# Here each process calls its first sm_unlock() too late, when another process has the lock.
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
	wait "$server" || fail "a server's exit status; the logs: $(cat plain.log strict.log sealed.log)"
done
servers=
[ -z "$(find memdir -mindepth 1)" ] || fail "the server has left: $(find memdir)"
echo ok
