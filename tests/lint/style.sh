#!/bin/sh
# style.sh [ROOT]: C is formatted as .clang-format says, nothing has white space at the end
# of a line, comments end at column 100, and a header begins with the comment that says what it is.  ROOT is the
# repository (default: here).  CLANG_FORMAT is heeded; it wants version 14, since others
# break some lines elsewhere.

set -u
cd "${1:-.}" || exit 1

CLANG_FORMAT=${CLANG_FORMAT:-clang-format}
status=0

[ -f .clang-format ] || {
	echo "style.sh: there is no .clang-format in $(pwd)" >&2
	exit 1
}
command -v "$CLANG_FORMAT" >/dev/null || {
	echo "style.sh: $CLANG_FORMAT is not installed: apt-get install clang-format" >&2
	exit 1
}

# files PATTERN...: those of the tree, except what was built
files()
{
	for pattern; do
		find . \( -path ./build -o -path ./.git \) -prune -o -type f -name "$pattern" -print
	done | sed 's,^\./,,' | sort
}

sources=$(files '*.[ch]' '*.cc')
[ -n "$sources" ] || {
	echo "style.sh: there is nothing to check in $(pwd)" >&2
	exit 1
}

# shellcheck disable=SC2086 # file names here have no spaces
"$CLANG_FORMAT" --style=file --dry-run -Werror $sources || status=1

texts=$(files '*.[ch]' '*.cc' '*.sh' '*.py' '*.md' '*.mk' '*.conf' '*.service' '*.socket' Makefile mkpki)
# shellcheck disable=SC2086
if grep -n '[[:space:]]$' /dev/null $texts | sed 's/\(:[0-9]*\):.*/\1: white space at the end of the line/' |
    grep .; then
	status=1
fi

# clang-format leaves comments alone. A tab reaches to the next multiple of 8.
# shellcheck disable=SC2086
awk '
/\/\*|^[ \t]*\*/ {
	width = 0
	for (i = 1; i <= length($0); i++)
		width = substr($0, i, 1) == "\t" ? width - width % 8 + 8 : width + 1
	if (width > 100) {
		printf "%s:%d: a comment ends at column %d, beyond 100\n", FILENAME, FNR, width
		failed = 1
	}
}
END { exit failed }' $sources || status=1

for header in $(files '*.h'); do
	if [ "$(head -c 2 "$header")" != '/*' ]; then
		echo "$header:1: a header begins with a comment that says what it is"
		status=1
	fi
done
exit $status
