#!/bin/sh
# Completion in bash: each program's options are those of its --help; arguments are files, directories, groups or
# choices, as --help calls them.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"
command -v bash >/dev/null || {
	echo 'skipped: there is no bash'
	exit 0
}
PATH=$BUILD:$SRC/deploy:$PATH
mkdir directory && : >file.conf && : >'a file' || exit 1
cat >complete.bash <<'END'
# complete.bash WORD...: what the last word can become, a line each, sorted
. "$SRC/deploy/bash-completion"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
complete -p "${1##*/}" >/dev/null || exit 1
_memserver "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}" | sort
END

# completed EXPECTED WORD...: the words that come, with a blank behind each
completed()
{
	expected=$1
	shift
	expect "$*" "$expected" "$(bash --norc complete.bash "$@" 2>&1 | tr '\n' ' ')"
}

for program in smdishserver smufserver smbench smstat smrun makemanifest mkpki; do
	"$program" --help >out
	expect "$program: lines of --help with an option, at least" yes "$([ "$(grep -c '^ *-' out)" -ge 3 ] && echo yes || cat out)"
	completed "$(sed -n 's/^ *\(-.\), \(--[a-z-]*\).*/\1 \2/p; t; s/^ *\(-[^ ]*\).*/\1/p' out |
		tr ' ' '\n' | sort | tr '\n' ' ')" "$program" -
done
completed '--segment-limit --session-limit --socket-group --socket-mode ' smdishserver --s
completed 'file.conf ' smdishserver -f fil
completed 'file.conf ' smdishserver --config fil
completed 'a file ' smdishserver -l a
for word in 1 2 3; do
	set -- smufserver -Z
	while [ $word -gt 1 ]; do
		set -- "$@" x
		word=$((word - 1))
	done
	completed 'file.conf ' "$@" fil
done
completed '' smufserver -r fil
completed 'directory ' smufserver --memdir d
completed '' smdishserver -c fil
completed "$(getent group | sed -n 's/^\(ro[^:]*\):.*/\1/p' | sort -u | tr '\n' ' ')" smdishserver -g ro
completed 'file.conf ' smdishserver -v fil
completed 'gramine graphene ' makemanifest --for gr
# bash splits a word at =.
completed 'gramine graphene ' makemanifest --for = gr
completed 'gramine graphene ' makemanifest --for =
completed 'file.conf ' smdishserver --config = fil
completed 'file.conf ' makemanifest fil
completed 'client ' mkpki cl
HOME=$work
export HOME
ln -s "$SRC/deploy/mkpki" mkpki || exit 1
# shellcheck disable=SC2088 # bash gives the function what was typed
completed 'client ' '~/mkpki' cl
rm mkpki
completed 'client crl init list renew revoke server ' mkpki -d 3 ''
completed 'directory ' mkpki init d
completed 'file.conf ' smrun fil
completed 'smdishserver ' smrun file.conf smdishs
completed 'smdishserver ' smrun --check smdishs
completed '--check ' smrun --ch
completed 'file.conf ' smstat -i 3 fil
completed '--reload ' smstat file.conf --re
completed 'file.conf ' smstat unix:/s -Z ca crt fil

# The beginning of a name is never run.
# shellcheck disable=SC2016,SC2088 # that it is not expanded is the point
for word in '$(touch made)/' '`touch made`/' '"$(touch made)/' '~$(touch made)/' '${x[$(touch made)]}/' '$x[$(touch made)]/'; do
	completed '' smbench "$word"
done
expect 'what completing has made' no "$([ -e made ] && echo yes || echo no)"

PATIENCE=$patience python3 "$SRC/tests/system/typed.py" "$SRC/deploy/bash-completion" >out 2>&1
expect 'names as they are typed: exit status, and what is wrong' '0 ' "$? $(cat out)"

if [ -z "${VARIANT:-}" ]; then
	make -s -C "$SRC" install BUILD="$BUILD" DESTDIR="$work/root" PREFIX=/usr >install.log 2>&1
	expect 'make install' '0 ' "$? $([ $? -eq 0 ] || cat install.log)"
	folder=$work/root/usr/share/bash-completion/completions
	for program in smdishserver smufserver smbench smstat smrun makemanifest mkpki; do
		expect "$program: its completion where bash looks" 0 "$(cmp -s "$folder/$program" "$SRC/deploy/bash-completion"; echo $?)"
	done
	make -s -C "$SRC" uninstall BUILD="$BUILD" DESTDIR="$work/root" PREFIX=/usr >install.log 2>&1
	expect 'make uninstall leaves' '' "$(find root ! -type d)"
else
	echo 'skipped: a variant is not installed'
fi
finish
