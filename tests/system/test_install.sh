#!/bin/sh
# `make install` and `make uninstall` as packagers call them: their paths, a DESTDIR with a space, smclient.pc, the
# loader; and their flags: what they give is used, and the language and the exported names stay ours, with -flto too.

# shellcheck source=tests/system/check.sh
. "${SRC:?}/tests/system/check.sh"
set -u
: "${BUILD:?}" "${TMPDIR:?}" "${CC:=cc}"
if [ -n "${VARIANT:-}" ]; then
	echo "skipped: a variant is not installed"
	exit 0
fi
unset CFLAGS CPPFLAGS LDFLAGS LDLIBS DESTDIR PREFIX LIBDIR MAKEFLAGS MFLAGS
cd "$TMPDIR" || exit 1
version=$(sed -n 's/^.define SMCLIENT_VERSION "\([0-9.]*\)".*/\1/p' "$SRC/common/client/smclient.h")

expect "deploy/debian/changelog: the version" "$version" \
    "$(sed -n '1s/^memserver (\([^)]*\)).*/\1/p' "$SRC/deploy/debian/changelog")"
sed -n 's/^ \(sm_[a-z_]*\)@.*/\1/p' "$SRC/deploy/debian/libsmclient1.symbols" >packaged
expect "deploy/debian/libsmclient1.symbols: the functions of smclient.h" \
    "$(sed -n 's/^SMCLIENT_PUBLIC .*[ *]\(sm_[a-z_]*\)(.*/\1/p' "$SRC/common/client/smclient.h" | sort)" "$(cat packaged)"

# made WHAT ARGUMENT...: runs make, which has to succeed
made()
{
	what=$1
	shift
	if make -C "$SRC" BUILD="$BUILD" CC="$CC" "$@" >make.log 2>&1; then
		expect "$what: exit status" 0 0
	else
		expect "$what: exit status" 0 "$?, with: $(tail -5 make.log)"
	fi
}

# A root with a space, and the libraries of several machines side by side.
made 'make install' install DESTDIR="$PWD/a root" PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu
(cd 'a root' && find . -type f -o -type l | sort) >installed
for file in bin/smdishserver bin/smufserver bin/smbench bin/smstat bin/smrun bin/makemanifest bin/mkpki \
    include/smclient.h lib/x86_64-linux-gnu/libsmclient.a lib/x86_64-linux-gnu/libsmclient.so \
    lib/x86_64-linux-gnu/libsmclient.so.1 lib/x86_64-linux-gnu/pkgconfig/smclient.pc lib/memserver/libsmpreload.so \
    lib/systemd/system/smdishserver.service lib/systemd/system/smdishserver.socket \
    lib/systemd/system/smufserver@.service lib/systemd/system/smufserver@.socket lib/sysusers.d/memserver.conf \
    lib/tmpfiles.d/memserver.conf; do
	expect "installed: $file" "./usr/$file" "$(grep -Fx "./usr/$file" installed)"
done
expect 'nothing is installed besides /usr' '' "$(grep -v '^\./usr/' installed)"
for page in $(cd "$SRC" && find bench common deploy smc smdish smuf -name '*.[1-8]'); do
	name=$(basename "$page")
	expect "installed: the manual $page" "./usr/share/man/man${name##*.}/$name" "$(grep "/$name\$" installed)"
done
expect 'the units start what is installed' 'ExecStart=/usr/bin/smdishserver ExecStart=/usr/bin/smufserver' \
    "$(cat 'a root'/usr/lib/systemd/system/*.service | grep -o '^ExecStart=[^ ]*' | sort | tr '\n' ' ' | sed 's/ $//')"
expect 'no place is left open' '' "$(grep -rl '@[A-Z]*@' 'a root'/usr/lib/systemd 'a root'/usr/lib/x86_64-linux-gnu/pkgconfig)"

# asked ARGUMENT...: pkg-config's answer of the file that was installed
asked()
{
	PKG_CONFIG_PATH="$PWD/a root/usr/lib/x86_64-linux-gnu/pkgconfig" pkg-config "$@" smclient 2>&1 | sed 's/ *$//'
}
expect 'smclient.pc: the version' "$version" "$(asked --modversion)"
expect 'smclient.pc: libdir' /usr/lib/x86_64-linux-gnu "$(asked --variable=libdir)"
expect 'smclient.pc: a program needs this library alone' '-lsmclient' "$(asked --libs)"
expect_match 'smclient.pc: a static one also those below' '-lsmclient *-pthread* -lssl *-lcrypto *-lbsd*' "$(asked --libs --static) "
expect_match 'smclient.pc: required for it' '*libssl*libcrypto*libbsd*' \
    "$(grep '^Requires.private:' 'a root/usr/lib/x86_64-linux-gnu/pkgconfig/smclient.pc')"

made 'make uninstall' uninstall DESTDIR="$PWD/a root" PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu
expect 'nothing is left' '' "$(find 'a root' ! -type d)"

# Without DESTDIR the loader is told, and what programs need is said where it does not look.
mkdir bin
cat >bin/ldconfig <<END
#!/bin/sh
[ "\$*" = -p ] || echo "ldconfig \$*" >>$PWD/called
[ "\$*" != -p ] || cat $PWD/cache
END
chmod 755 bin/ldconfig
PATH=$PWD/bin:$PATH
: >cache
made 'make install for this system' install PREFIX="$PWD/local"
expect 'ldconfig was run' 'ldconfig ' "$(cat called)"
expect_match 'what the loader does not search is said' "*-Wl,-rpath,$PWD/local/lib*" "$(cat make.log)"
mkdir mem
head -c 32 /dev/urandom >key
chmod 600 key
echo "MOUNT file:$PWD/mem /shared smc key=key" >app.conf
expect 'smrun finds its library, and that finds libsmclient' served \
    "$(LD_LIBRARY_PATH='' local/bin/smrun app.conf flock /shared/lock echo served 2>&1)"
printf '1 libs found in cache\n\tlibsmclient.so.1 (libc6,x86-64) => %s\n' "$PWD/local/lib/libsmclient.so.1" >cache
made 'make install again' install PREFIX="$PWD/local"
expect 'nothing is said when it does' '' "$(grep rpath make.log)"
: >called
made 'make install elsewhere' install PREFIX="$PWD/local" DESTDIR="$PWD/root"
expect 'ldconfig is not run for another root' '' "$(cat called)"

# Commands as they would be run, with flags in the environment or as arguments.
for how in arguments environment; do
	flags='CFLAGS=-O3_given CPPFLAGS=-Dgiven LDFLAGS=-Wl,-z,given LDLIBS=-lgiven'
	# shellcheck disable=SC2086 # words
	case $how in
	arguments) make -C "$SRC" -n V=1 BUILD="$PWD/none" $flags all >commands ;;
	environment) env $flags make -C "$SRC" -n V=1 BUILD="$PWD/none" all >commands ;;
	esac
	grep -- ' -c -o ' commands >compiled
	grep -v -- ' -c -o ' commands | grep -- ' -pie \| -shared ' >linked
	expect "$how: commands that compile and link are found" 'yes yes' \
	    "$([ "$(wc -l <compiled)" -gt 100 ] && echo yes) $([ "$(wc -l <linked)" -ge 8 ] && echo yes)"
	for flag in -std=c11 -fvisibility=hidden -fstack-protector-strong -D_GNU_SOURCE -O3_given -Dgiven; do
		expect "$how: every object is compiled with $flag" '' "$(grep -v -- " $flag " compiled | head -1)"
	done
	expect "$how: their level of optimisation wins" '' "$(grep -v -- '-O2.*-O3_given' compiled | head -1)"
	for flag in -Wl,-z,relro,-z,now -Wl,--as-needed -O3_given -Wl,-z,given; do
		expect "$how: everything is linked with $flag" '' "$(grep -v -- " $flag " linked | head -1)"
	done
	expect "$how: and with their libraries" '' "$(grep -- -lssl linked | grep -v -- ' -lgiven' | head -1)"
done
expect 'a level of _FORTIFY_SOURCE is given once' '' \
    "$(make -C "$SRC" -n V=1 BUILD="$PWD/none" CPPFLAGS=-D_FORTIFY_SOURCE=3 all | grep -- FORTIFY_SOURCE=2)"

# The libraries with -flto: the same names, and users need neither -flto nor this compiler.
case ${VARIANT:-} in
'')
	made 'make with -flto' -j2 BUILD="$PWD/lto" CFLAGS='-flto=auto -O0' "$PWD/lto/libsmclient.a" "$PWD/lto/libsmclient.so" \
	    "$PWD/lto/libsmpreload.so"
	expect 'with -flto: the names' ok "$(BUILD=$PWD/lto sh "$SRC/tests/system/test_symbols.sh" 2>&1 | tail -1)"
	echo '#include <smclient.h>
	int main(void) { struct sm *s = sm_new(); sm_free(s); return s == 0; }' >user.c
	$CC -fno-lto -I "$SRC/common/client" user.c lto/libsmclient.a -lssl -lcrypto -lbsd -pthread -o user
	expect 'with -flto: a program without it is linked and runs' 0 "$(./user; echo $?)"
	;;
esac

finish
