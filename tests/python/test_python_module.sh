#!/bin/sh
# deploy/python: processes count exactly over memory files of each kind, a holder that is killed publishes
# nothing, errors are what smclient(3) says, nothing can be used after it was closed or is being
# closed, and the declarations are those of smclient.h. check_*.py are the tests.

# shellcheck source=tests/system/kinds.sh
. "${SRC:?}/tests/system/kinds.sh"
if [ -n "${VARIANT:-}" ]; then
	echo 'skipped: not with a sanitizer, which python3 was not built with'
	finish
fi

# The layout of the structs and the values of the constants, as the compiler has them.
header=$SRC/common/client/smclient.h
{
	cat <<'END'
#include <stddef.h>
#include <stdio.h>
#include <smclient.h>
#define STRUCT(s) printf(#s " %zu\n", sizeof(struct s))
#define MEMBER(s, m) printf(#s "." #m " %zu %zu\n", offsetof(struct s, m), sizeof(((struct s *)0)->m))
#define NUMBER(n) printf(#n " %d\n", (int)n)
int main(void) {
END
	for struct in sm_stat sm_holder; do
		echo "STRUCT($struct);"
		sed -n "/^struct $struct {/,/^}/s/^	[a-z0-9_]* \([a-z_]*\).*;.*/MEMBER($struct, \1);/p" "$header"
	done
	sed -n 's/^#define \(SM_[A-Z_]*\) [0-9].*/NUMBER(\1);/p; s/^	\(SM_TYPE_[A-Z]*\) = .*/NUMBER(\1);/p' "$header"
	echo '}'
} >layout.c
expect 'the layout is compiled' '' "$(${CC:-cc} -I "$SRC/common/client" -o layout layout.c 2>&1)"
./layout >layout.txt
sed -n 's/^SMCLIENT_PUBLIC .*[ *]\(sm_[a-z_]*\)(.*/\1/p' "$header" >functions.txt

PATIENCE=$patience
KINDS=$kinds
PYTHONPATH=$SRC/deploy/python:$SRC/tests/python
LD_LIBRARY_PATH=$BUILD
export PATIENCE KINDS PYTHONPATH LD_LIBRARY_PATH
for part in check_memory check_closing check_unmapping check_module; do
	python3 -B -X dev -m unittest "$part" >out 2>&1
	expect "$part.py: exit status" 0 $?
	expect_match "$part.py: its last word" '*
OK' "$(cat out)"
done

# The README's program.
sed -n '/^```python$/,/^```$/p' "$SRC/README.md" | sed '/^```/d; s|"app.conf"|"mounts"|' >readme.py
for place in $kinds; do
	sed "s|/shared/|$place/|" readme.py >counts.py
	expect "$place: the README's program is found" 1 "$(grep -c "$place/" counts.py)"
	expect "$place: the README's program" '0 ' "$(python3 -B counts.py 2>out; echo "$? $(cat out)")"
done

# Nothing is left behind.
kill -TERM "$dish" "$muf"
wait "$dish"
expect 'smdishserver: exit status' 0 $?
wait "$muf"
expect 'smufserver: exit status' 0 $?
expect 'files of the host that are left' '' "$(find memdir smcdir -mindepth 1)"
finish
