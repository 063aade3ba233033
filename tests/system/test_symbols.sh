#!/bin/sh
# Both forms of the library export the functions of smclient.h, all of them and no others.
set -eu
: "${SRC:?}" "${BUILD:?}" "${TMPDIR:?}"
grep -o 'sm_[a-z_]*(' "$SRC/common/client/smclient.h" | tr -d '(' | sort -u >"$TMPDIR/mentioned"
sed -n 's/^SMCLIENT_PUBLIC .*[ *]\(sm_[a-z_]*\)(.*/\1/p' "$SRC/common/client/smclient.h" | sort >"$TMPDIR/wanted"
[ -s "$TMPDIR/wanted" ] || { echo "FAILED: no function found in smclient.h"; exit 1; }
nm -g --defined-only "$BUILD/libsmclient.a" | awk 'NF == 3 { print $3 }' | sort >"$TMPDIR/static"
nm -D --defined-only "$BUILD/libsmclient.so" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | sort >"$TMPDIR/shared"
for form in static shared; do
	# A sanitizer adds names of its own.
	[ -z "${VARIANT:-}" ] || grep '^sm_' "$TMPDIR/$form" >"$TMPDIR/ours" && mv "$TMPDIR/ours" "$TMPDIR/$form" 2>/dev/null || true
	if ! diff -u "$TMPDIR/wanted" "$TMPDIR/$form"; then
		echo "FAILED: - is expected to be visible in the $form library, + is what more is"
		exit 1
	fi
done
readelf -d "$BUILD/libsmclient.so" | grep -q 'SONAME.*libsmclient\.so\.1' || { echo "FAILED: no soname"; exit 1; }
echo ok
