#!/bin/sh
# The checks of this folder find what they are there to find: each is shown a small tree
# that is in order, and then the same tree with one fault planted.
# Environment: TMPDIR, where to work.

set -u
unset CDPATH
lint=$(cd "$(dirname "$0")" && pwd) || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/lint.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1

failures=0
checks=0

# put FILE LINE...: one more header or source of the tree, the lines below a comment
put()
{
	file=tree/$1
	shift
	mkdir -p "${file%/*}"
	printf '%s\n' '/* A sample. */' "$@" >"$file"
}

# passes CHECK WHAT
passes()
{
	checks=$((checks + 1))
	if ! "$lint/$1.sh" tree >said 2>&1; then
		failures=$((failures + 1))
		printf '%s, %s: expected: nothing to be found\ncame:\n' "$1" "$2"
		cat said
	fi
}

# finds CHECK PLACE RULE: it fails, and a line of what it says has PLACE and RULE
finds()
{
	checks=$((checks + 1))
	"$lint/$1.sh" tree >said 2>&1
	came=$?
	if [ $came != 1 ] || ! grep -F -- "$2" said | grep -qF -- "$3"; then
		failures=$((failures + 1))
		printf '%s: expected: status 1 and "%s ... %s"\ncame: status %s and\n' "$1" "$2" "$3" $came
		cat said
	fi
}

# refuses RULE FILE LINE: layers.sh finds the include planted as the second line of FILE
refuses()
{
	checks=$((checks + 1))
	cp -R tree saved
	put "$2" "$3"
	finds layers "$2:2: " "$1"
	rm -rf tree
	mv saved tree
}

# allows FILE LINE: it does not
allows()
{
	cp -R tree saved
	put "$1" "$2"
	passes layers "$1 with $2"
	rm -rf tree
	mv saved tree
}

cp "$lint/../../.clang-format" . || exit 1
mkdir tree
mv .clang-format tree
put common/base/a.h '#ifndef A_H' '#define A_H' '#include <stddef.h>' 'size_t a(void);' '#endif'
put common/crypto/a.c '#include <openssl/evp.h>' '#include "common/base/a.h"'
put common/server/a.c '#include "common/host/a.h"' '#include "common/server/b.h"'
put common/client/a.c '#include "common/wire/a.h"'
put smdish/a.c '#include "common/server/a.h"' '#include "common/client/a.h"'
put bench/a.c '#include "smdish/a.h"' '#include "smc/a.h"'
put bench/ruler.c '#include <openssl/ssl.h>'
put tests/unit/a.c '#include <openssl/ssl.h>' '#include "bench/a.h"' '#include "tests/a.h"'

passes layers 'a tree in order'
passes headers 'a tree in order'
passes style 'a tree in order'

below=' is below ' beside=' is beside '
refuses "$below" common/base/b.c '#include "common/crypto/a.h"'
refuses "$below" common/base/b.h '#include "common/wire/a.h"'
refuses "$below" common/crypto/b.c '#include "common/wire/a.h"'
refuses "$below" common/wire/b.h '#include "common/server/core/a.h"'
refuses "$below" common/host/b.c '#include "common/server/a.h"'
refuses "$below" common/host/b.c '#include "common/client/a.h"'
refuses "$below" common/host/b.c '	#	include	"common/client/a.h" /* why */'
refuses "$below" common/host/b.c '#include <common/client/a.h>'
refuses "$below" common/host/b.c '#include <smclient.h>'
refuses "$below" common/server/b.c '#include "smdish/a.h"'
refuses "$below" common/client/b.h '#include "smc/a.h"'
refuses "$below" common/server/deeper/b.c '#include "smuf/a.h"'
refuses "$below" smdish/b.c '#include "bench/a.h"'
refuses "$below" smuf/b.c '#include "deploy/a.h"'
refuses "$below" smc/b.c '#include "tests/a.h"'
refuses "$below" bench/b.c '#include "tests/a.h"'
refuses "$beside" common/server/b.c '#include "common/client/a.h"'
refuses "$beside" common/remote/b.c '#include "common/server/core/a.h"'
refuses "$beside" common/lock/b.c '#include "common/wire/a.h"'
refuses "$below" common/server/core/b.c '#include "common/server/a.h"'
refuses "$below" common/client/track/b.c '#include "common/client/a.h"'
refuses "$below" common/client/b.c '#include "common/remote/a.h"'
refuses "$beside" common/client/b.c '#include "common/server/a.h"'
refuses "$beside" smdish/b.c '#include "smuf/a.h"'
refuses "$beside" smuf/b.c '#include "smc/a.h"'
refuses "$beside" smc/b.c '#include "smdish/a.h"'
refuses "$below" common/host/b.cc '#include "common/client/a.h"'
refuses OpenSSL common/base/b.c '#include <openssl/evp.h>'
refuses OpenSSL common/wire/b.c '#include <openssl/ssl.h>'
refuses OpenSSL common/wire/b.c '#include "openssl/ssl.h"'
refuses OpenSSL common/client/b.h '#include <openssl/crypto.h>'
refuses OpenSSL smdish/b.c '#include <openssl/ssl.h>'
refuses OpenSSL bench/b.c '#include <openssl/ssl.h>'
refuses root common/base/b.c '#include "a.h"'
refuses root common/base/b.c '#include "base/a.h"'
refuses root tests/unit/b.c '#include "a.h"'
refuses '. and ..' common/base/b.c '#include "../server/a.h"'
refuses '. and ..' common/base/b.c '#include "common/base/../server/a.h"'
refuses macro common/base/b.c '#include HEADER'

allows common/server/b.c '#include "common/base/a.h"'
allows smuf/b.c '#include "common/host/a.h"'
allows smuf/b.c '#include "smuf/a.h"'
allows bench/b.c '#include <smclient.h>'
allows tests/fuzz/b.c '#include "common/server/a.h"'
allows common/base/b.c '/* #include "common/server/a.h" */'

put common/odd/a.c ''
finds layers common/odd/a.c:1: 'no room'
rm -r tree/common/odd

put common/base/b.h 'size_t b(void);'
finds headers common/base/b.h:1: 'does not compile alone'
put common/base/b.h 'struct b {' '	int c;' '};'
finds headers common/base/b.h:1: 'does not compile alone'
put common/base/b.h '#ifndef B_H' '#define B_H' 'int b(struct unknown *u);' '#endif'
finds headers common/base/b.h:1: 'does not compile alone'
if command -v "${CXX:-c++}" >/dev/null; then
	put common/base/b.h '#ifndef B_H' '#define B_H' '#define C extern "C"' 'int b(int class);' '#endif'
	finds headers common/base/b.h:1: 'does not compile alone'
fi
rm tree/common/base/b.h
passes headers 'a tree in order again'

put common/base/b.c 'int' 'b(void)' '{' '    return 1;' '}'
finds style common/base/b.c: 'clang-format'
put common/base/b.c 'int b;' '/* two ' ' */'
finds style common/base/b.c:3: 'white space'
rm tree/common/base/b.c
ten='a comment.'
put common/base/b.c "/* $ten$ten$ten$ten$ten$ten$ten$ten$ten */" 'int b;'
passes style 'a comment of 96 columns'
put common/base/b.c 'int b;' "/*	$ten$ten$ten$ten$ten$ten$ten$ten$ten */"
finds style common/base/b.c:3: 'beyond 100'
rm tree/common/base/b.c
put tests/unit/a.sh 'true '
finds style tests/unit/a.sh:2: 'white space'
rm tree/tests/unit/a.sh
echo 'int b(void);' >tree/common/base/b.h
finds style common/base/b.h:1: 'begins with a comment'
rm tree/common/base/b.h
passes style 'a tree in order again'
rm tree/.clang-format
finds style style.sh 'no .clang-format'

# circles.sh compiles what it checks: a tree of its own, in which a() calls b() and nothing else.
rm -rf tree
calls='int a(void); int b(void); int c(void);'
begin_circles()
{
	rm -rf tree
	put common/base/a.h '#include "common/base/b.h"'
	put common/base/b.h 'int b(void);'
	put common/base/a.c "$calls" 'int a(void) { return b(); }'
	put common/base/b.c "$calls" 'int b(void) { return 1; }'
	put common/client/c.c "$calls" 'int c(void) { return 1; }'
	put smdish/main.c "$calls" 'int main(void) { return a(); }'
	put smuf/main.c "$calls" 'int main(void) { return a(); }'
}
begin_circles
passes circles 'calls that point downward'
put common/base/b.c "$calls" 'int (*pointer)(void);' 'int b(void) { return pointer(); }'
passes circles 'a call through a pointer'
put common/base/b.c "$calls" 'int b(void) { return a(); }'
finds circles common/base/a.c:1: 'a circle by call'
put common/base/b.c "$calls" 'static int b_inner(void) { return c(); }' 'int b(void) { return b_inner(); }'
finds circles common/base/b.c:1: 'is below common/client'
put common/base/b.c "$calls" 'extern int d;' 'int b(void) { return d; }'
put common/base/a.c "$calls" 'int d;' 'int a(void) { return b(); }'
finds circles common/base/a.c:1: 'a circle by call'
begin_circles
put common/base/b.h '#include "common/base/a.h"'
finds circles common/base/ 'a circle by include'
begin_circles
put common/base/b.h '#include "common/base/e.h"'
put common/base/e.h '#include "common/base/a.h"'
finds circles common/base/ 'a circle by include'
begin_circles
put smc/s.c 'int s(void); int s(void) { return 1; }'
put common/client/backends.c 'int s(void); int t(void); int t(void) { return s(); }'
passes circles 'the one file that names what is above it'
put common/client/other.c 'int s(void); int t2(void); int t2(void) { return s(); }'
finds circles common/client/other.c:1: 'is below smc'
put common/client/other.c 'int t2(void) { return 1'
finds circles circles.sh 'not everything compiles'

# citations.sh
rm -rf tree
put common/wire/PROTOCOL.md '## 1 One' '### 1.2 Two'
put smuf/FORMAT.md '## 1 One' 'A [link](../common/wire/PROTOCOL.md#one), and [one](https://example.org).'
put common/base/a.c '/* PROTOCOL 1 and PROTOCOL 1.2; smuf/FORMAT 1. */'
passes citations 'citations that lead somewhere'
put common/base/a.c '/* See PROTOCOL 1.3. */'
finds citations common/base/a.c:2: 'no such section: PROTOCOL 1.3'
put common/base/a.c '/* See PROTOCOL 1, 1.2. */'
finds citations common/base/a.c:2: 'cite each section'
put common/base/a.c '/* See FORMAT 1. */'
finds citations common/base/a.c:2: 'no such document'
put common/base/a.c '/* See DESIGN 1. */'
finds citations common/base/a.c:2: 'no such section: DESIGN 1'
put common/base/a.c '/*' ' * See (PROTOCOL' ' * 1.3).' ' */'
finds citations common/base/a.c:4: 'no such section: PROTOCOL 1.3'
rm tree/common/base/a.c
put smuf/FORMAT.md '## 1 One' 'A [link](PROTOCOL.md).'
finds citations smuf/FORMAT.md:3: 'leads to no file: PROTOCOL.md'

# tables.sh: the repository's own code and document, then each with one difference.
rm -rf tree
mkdir -p tree/common/wire
cp -R "$lint/../../common/base" tree/common
cp "$lint/../../common/wire/PROTOCOL.md" "$lint/../../common/wire/"*.[ch] tree/common/wire
passes tables 'the tables of this repository'

# differs FILE SCRIPT RULE...: with that sed(1) script on FILE, tables.sh says each RULE
differs()
{
	differing=tree/common/wire/$1
	cp "$differing" saved
	sed -i "$2" "$differing"
	! cmp -s "$differing" saved || {
		failures=$((failures + 1))
		echo "tables: $2 changes nothing in $1"
	}
	shift 2
	for rule; do
		finds tables common/wire/PROTOCOL.md:1: "$rule"
	done
	mv saved "$differing"
}
differs PROTOCOL.md 's/^| 17 | ACQUIRE | 2 |/| 17 | ACQUIRE | 1 2 |/' \
    'the code has this and the document does not: operation 17 ACQUIRE 2' \
    'the document has this and the code does not: operation 17 ACQUIRE 1 2'
differs PROTOCOL.md '/^| 116 | ESTALE/d' 'the document does not: status 116 ESTALE'
differs PROTOCOL.md '/^|.*`PROTOCOL_STALL_MS`/s/| [0-9]* |/| 7 |/' \
    'the code does not: limit PROTOCOL_STALL_MS 7'
differs protocol.c 's/\[OP_STAT\] = { "STAT", V2 }/[OP_STAT] = { "STAT", BOTH }/' 'operation 20 STAT 1 2'
differs protocol.h '/PROTOCOL_STALL_MS/s/[0-9]\{4,\}/5000/' 'limit PROTOCOL_STALL_MS 5000'
differs status.c '/"ESTALE"/s/116/117/' 'status 117 ESTALE'
passes tables 'the tables of this repository again'

rm -rf tree
mkdir tree
finds layers layers.sh 'nothing to check'
finds circles circles.sh 'nothing to check'
finds citations citations.sh 'nothing to check'
finds tables tables.sh 'there is no common/wire/PROTOCOL.md'
finds headers headers.sh 'nothing to check'

if [ $failures -gt 0 ]; then
	printf '%s of %s checks failed\n' $failures $checks
	exit 1
fi
printf '%s checks\n' $checks
