#!/bin/sh
# citations.sh [ROOT]: every section of a document that a comment, script or document cites exists, and
# every link of a document leads to a file.  ROOT is the repository (default: here).
#
# A citation is the document's name and one section: DESIGN 3, PROTOCOL 5.2, smuf/FORMAT 2,
# smc/FORMAT 4.  A section is a heading that begins with its number ("### 5.2 ACQUIRE").

set -u
unset CDPATH
lint=$(cd "$(dirname "$0")" && pwd) || exit 1
cd "${1:-.}" || exit 1

# texts PATTERN...: the files of the tree, except what was built and the samples of these checks
texts()
{
	for pattern; do
		find . \( -path ./build -o -path ./.git -o -path ./tests/lint \) -prune \
		    -o -type f -name "$pattern" -print
	done | sed 's,^\./,,' | sort
}

files=$(texts '*.[ch]' '*.sh' '*.awk' '*.script' '*.pml' '*.md' '*.3' '*.conf' '*.service' Makefile run mkpki)
[ -n "$files" ] || {
	echo "citations.sh: there is nothing to check in $(pwd)" >&2
	exit 1
}
# shellcheck disable=SC2086 # file names here have no spaces
awk -f "$lint/citations.awk" $files
