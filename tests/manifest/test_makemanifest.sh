#!/bin/sh
# makemanifest: for each case in the files *.golden beside this script, exit status and output are
# byte for byte what the file says. A file is made of
#
#	# a comment
#	OPTIONS: --for graphene -g /g		for the cases that follow, as the shell splits them
#	IN: DEBUG on;				a premanifest: ; ends a line, \t and \001 are bytes
#	  rc=0
#	     a line of standard output, or of standard error when the exit status is not 0
#
# A difference is shown as diff(1) does it: - is in the golden file, + came. "test_makemanifest.sh
# --write" puts what came into the golden files. The cases run in a directory of their own, /here in
# the files and in HERE, with HOME=/home/u, PKI the directory of the certificates beside this script,
# and NOSUCH unset. Environment: SRC, BUILD, CC.

# shellcheck disable=SC2016,SC2119,SC2120 # what is in single quotes is meant as it stands
set -u
unset CDPATH LD_LIBRARY_PATH LD_PRELOAD NOSUCH
: "${SRC:?}" "${BUILD:?}" "${CC:=cc}"
LC_ALL=C
export LC_ALL
golden=$SRC/tests/manifest
# shellcheck source=tests/system/check.sh
. "$SRC/tests/system/check.sh"
# Some lines are sorted by absolute paths of this directory.
case ${TMPDIR:-/tmp} in
/tmp | /tmp/*) parent=${TMPDIR:-/tmp} ;;
*) parent=/tmp ;;
esac
work=$(mktemp -d "$parent/manifest.XXXXXX") || exit 1
work=$(cd "$work" && pwd -P) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mangled=$(echo "$work" | tr -c 'A-Za-z0-9\n' _)
umask 022
mkdir "$work/here" && cd "$work/here" || exit 1

# The files that the cases name.
must()
{
	"$@" >"$work/said" 2>&1 && return
	printf '%s: expected: success\ncame:\n' "$*"
	cat "$work/said"
	exit 1
}

# compile SOURCE ARGUMENT...
compile()
{
	echo "$1" >"$work/source.c"
	shift
	# shellcheck disable=SC2086 # CC is words
	must $CC -x c "$work/source.c" -x none "$@"
}

make_files()
{
	mkdir -p ro/sub bin lib mem/shm shm keys odd && : >ro/f.txt && : >"ro/sub/g h.txt" || exit 1
	ln -s ../f.txt ro/sub/link
	ln -s nowhere ro/dangling
	ln -s sub ro/folder
	: >'odd/{{ a }} "b" \c#d'
	: >odd/ä
	: >keys/app.key
	: >keys/app.crt
	: >keys/root.crt
	: >keys/root.crl
	mkdir clash && : >clash/a-b && : >clash/a_b
	mkdir control && : >"control/a$(printf '\001')b"
	mkfifo pipe
	printf 'no program' >text
	compile 'void other(void); void other(void) { }' -shared -fPIC -o lib/libother.so
	compile 'void other(void); void own(void); void own(void) { other(); }' -shared -fPIC \
	    -o lib/libown.so -Llib -lother '-Wl,-rpath,$ORIGIN'
	compile 'void own(void); int main(void) { own(); return 0; }' \
	    -o bin/prog -Llib -lown -Wl,-rpath-link,lib '-Wl,-rpath,$ORIGIN/../lib'
	compile 'void _start(void); void _start(void) { }' -static -nostdlib -o bin/static
	compile 'void gone(void); void gone(void) { }' -shared -fPIC -o lib/libgone.so
	compile 'void gone(void); int main(void) { gone(); return 0; }' -o bin/lost -Llib -lgone
	rm lib/libgone.so
	head -c 40 bin/prog >bin/cut
	head -c 100 bin/prog >bin/cut_headers
}

# Prints what makemanifest says about the premanifest conf, as the golden files have it.
answer()
{
	eval "set -- $options"
	env PATH="$BUILD:$PATH" HOME=/home/u PKI="$golden" HERE="$work/here" FILE=ro/f.txt EMPTY= \
	    CONTROL="$(printf 'a\001')" makemanifest "$@" >"$work/out" 2>"$work/err" </dev/null
	rc=$?
	echo "  rc=$rc"
	if [ $rc -eq 0 ]; then
		sed 's/^/     /' "$work/out"
		sed 's/^/     unexpected on standard error: /' "$work/err"
	else
		sed 's/^/     unexpected on standard output: /' "$work/out"
		sed 's/^/     /' "$work/err"
	fi
}

# run_file FILE: prints it with the answers that come
run_file()
{
	options=conf
	while IFS= read -r line; do
		case $line in
		'  '*) continue ;;
		OPTIONS:*) options=${line#OPTIONS:} ;;
		esac
		printf '%s\n' "$line"
		case $line in
		'IN: '*)
			printf '%b' "$(printf '%s' "${line#IN: }" | tr ';' '\n')" >conf
			count=$((count + 1))
			answer | sed "s|$work||g; s|$mangled||g; s|$golden|/pki|g"
			;;
		esac
	done <"$1"
}

# check_toml FILE: each manifest of the file is TOML
check_toml()
{
	expect "$1: manifests that are no TOML" '' "$(python3 -c '
import sys, tomllib
manifest = []
for line in [*open(sys.argv[1]), "IN:"]:
    if not line.startswith("     "):
        text = "".join(manifest).replace("{{ gramine.runtimedir() }}", "/runtime")
        try:
            if "{{" in text:
                raise ValueError("the template has more than one expression")
            tomllib.loads(text)
        except ValueError as error:
            print(error, text)
        manifest = []
    else:
        manifest.append(line[5:])
' "$1" 2>&1)"
}

make_files
before=$(find . | sort)
for file in "$golden"/*.golden; do
	name=$(basename "$file")
	if [ "$name" = debian12.golden ] && ! grep -q '^VERSION_ID="12"' /etc/os-release; then
		echo "skipped: $name is about the libraries of Debian 12"
		continue
	fi
	count=0
	run_file "$file" >"$work/$name"
	checks=$((checks + count))
	if [ "${1:-}" = --write ]; then
		cp "$work/$name" "$file"
	elif ! cmp -s "$file" "$work/$name"; then
		failures=$((failures + 1))
		diff -u --label "$name (golden)" --label "$name (came)" "$file" "$work/$name"
	fi
done
check_toml "$work/gramine.golden"
rm -f conf
expect 'files left in the working directory' "$before" "$(find . | sort)"

finish
