#!/bin/sh
# The preloaded library needs the C library only, defines no name that the C library does not have, and serves
# what smpreload(7) says; a program that uses no mount does not load the client library.

# shellcheck source=tests/system/check.sh
. "${SRC:?}/tests/system/check.sh"
cd "${TMPDIR:?}" || exit 1
library=${BUILD:?}/libsmpreload.so
[ -z "${VARIANT:-}" ] || {
	echo 'skipped: not with a sanitizer'
	finish
}

expect 'it needs' 'libc.so.6' "$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^ld-linux')"
nm -D --defined-only "$library" | awk '{ print $3 }' | sort -u >ours
libc=$(ldd "$library" | sed -n 's/.*libc\.so\.6 => \([^ ]*\).*/\1/p')
nm -D --defined-only "$libc" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u >theirs
expect 'names that the C library does not have' '' "$(comm -23 ours theirs)"

# Each function that the page names under "What is served" is there, but those that need nothing of it.
sed -n '/^\.Ss What is served/,/^\.Ss What is not/s/^\.Fn \([a-z_0-9]*\).*/\1/p' "$SRC/common/preload/smpreload.7" |
    grep -v '^\(fork\|vfork\|posix_spawn\|exec\)$' | sort -u >promised
expect 'functions that smpreload(7) names and the library does not have' '' "$(comm -13 ours promised)"

printf 'MOUNT unix:/nowhere /sm smdish\n' >mounts
expect 'libraries of a program that uses no mount' 0 \
    "$(SM_CONF=$PWD/mounts LD_PRELOAD=$library cat /proc/self/maps | grep -c 'libsmclient\|libssl\|libcrypto')"
finish
