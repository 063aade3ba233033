#!/bin/sh
# tables.sh [ROOT]: the tables of common/wire/PROTOCOL.md say what the code says: operations with their
# versions, statuses with their names, and limits.  ROOT is the repository (default: here).  CC is heeded.
#
# The code's side is what a small program prints that is linked with common/wire/protocol.c and
# status.c; its limits are the constants of protocol.h whose names end in _MOST, _DEFAULT or _MS.  The
# document's side is its rows of these forms:
#
#	| 17 | ACQUIRE | 2 |
#	| 11 | EAGAIN | another holder or a waiter is there |
#	| descriptors of a session | 1024 | descriptors | `PROTOCOL_DESCRIPTORS_MOST` | |

set -u
cd "${1:-.}" || exit 1

CC=${CC:-cc}
document=common/wire/PROTOCOL.md
work=$(mktemp -d "${TMPDIR:-/tmp}/tables.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

[ -f $document ] || {
	echo "tables.sh: there is no $document in $(pwd)" >&2
	exit 1
}

limits=$(sed -n 's/^#define \(PROTOCOL_[A-Z0-9_]*_\(MOST\|DEFAULT\|MS\)\) .*/\1/p' common/wire/protocol.h)
cat >"$work/print.c" <<END
#include <stdio.h>
#include <string.h>
#include "common/wire/protocol.h"
#include "common/wire/status.h"

#define LIMIT(name) printf("limit %s %llu\n", #name, (unsigned long long)name)

int
main(void)
{
	uint32_t i;

	for (i = 0; i < 65536; i++)
		if (protocol_has_op(i, PROTOCOL_VERSION_1) || protocol_has_op(i, PROTOCOL_VERSION_2))
			printf("operation %u %s%s%s\n", i, protocol_op_name(i),
			    protocol_has_op(i, PROTOCOL_VERSION_1) ? " 1" : "",
			    protocol_has_op(i, PROTOCOL_VERSION_2) ? " 2" : "");
	for (i = 0; i < 65536; i++)
		if (strcmp(status_name(i), "?") != 0)
			printf("status %u %s\n", i, status_name(i));
$(echo "$limits" | sed 's/.*/	LIMIT(&);/')
	return 0;
}
END
"$CC" -I. -D_GNU_SOURCE -std=c11 -w -o "$work/print" "$work/print.c" \
    common/wire/protocol.c common/wire/status.c common/wire/wire.c common/wire/delta.c || {
	echo "tables.sh: the code of common/wire does not compile" >&2
	exit 1
}
"$work/print" | sort >"$work/code"

awk -F' *\\| *' '
NF == 5 && $2 ~ /^[0-9]+$/ && $3 ~ /^[A-Z_][A-Z0-9_]*$/ && $4 ~ /^[12 ]+$/ { print "operation", $2, $3, $4 }
NF == 5 && $2 ~ /^[0-9]+$/ && $3 ~ /^(E[A-Z0-9]+|0)$/ && $4 !~ /^[12 ]+$/ { print "status", $2, $3 }
$5 ~ /^`PROTOCOL_[A-Z0-9_]*_(MOST|DEFAULT|MS)`$/ { print "limit", substr($5, 2, length($5) - 2), $3 }
' $document | sort >"$work/document"

comm -23 "$work/code" "$work/document" | sed "s,^,$document:1: the code has this and the document does not: ," >"$work/differences"
comm -13 "$work/code" "$work/document" | sed "s,^,$document:1: the document has this and the code does not: ," >>"$work/differences"
cat "$work/differences"
[ ! -s "$work/differences" ]
