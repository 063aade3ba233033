#!/bin/sh
# The premanifests of deploy/gramine, in a package as its README describes it: makemanifest makes
# templates of all of them, for a trial and for the four tenants; arguments are fixed, keys are
# encrypted and never trusted, and a tenant sees the others' files nowhere. libsmclient reads the
# same file: smbench counts over smc with it. makemanifest(1) has every directive. Environment: SRC, BUILD.
# shellcheck disable=SC2016 # what is in single quotes is meant as it stands
set -u
unset CDPATH LD_LIBRARY_PATH LD_PRELOAD
: "${SRC:?}" "${BUILD:?}"
LC_ALL=C
export LC_ALL
# shellcheck source=tests/system/check.sh
. "$SRC/tests/system/check.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/premanifests.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
umask 022

mkdir -p bin pki keys mem/2 && cp "$SRC"/deploy/gramine/*.conf . || exit 1
for program in smdishserver smufserver smbench libsmpreload.so libsmclient.so.1; do
	ln -s "$BUILD/$program" bin/$program
done
for folder in . 0 1 2 3; do
	mkdir -p pki/$folder keys/$folder mem/$folder
	for name in root.crt smdish.crt smuf.crt smbench.crt; do
		: >pki/$folder/$name
	done
done
head -c 32 /dev/urandom >keys/smc
mkdir etc site
for name in pki/nginx.crt pki/web.crt nginx.conf; do
	: >$name
done
cp /bin/true bin/nginx # makemanifest looks at its libraries only

# made NAME ARGUMENT...: makes NAME.template, which must succeed without a word
made()
{
	name=$1
	shift
	"$BUILD/makemanifest" -o "$name.template" "$@" >said 2>&1
	expect "makemanifest $*: exit status" 0 $?
	expect "makemanifest $*: output" '' "$(cat said)"
}

# lines NAME PATTERN: the template's lines that match, without blanks in front
lines()
{
	grep -- "$2" "$1.template" | sed 's/^ *//'
}

made server smdishserver.conf -Z /pki/root.crt /pki/smdish.crt /keys/smdish.key tcp:127.0.0.1:9001
expect 'smdishserver: arguments' '"smdishserver", "-Z", "/pki/root.crt", "/pki/smdish.crt", "/keys/smdish.key", "tcp:127.0.0.1:9001", ' \
    "$(sed -n '/^loader.argv/,/^]/s/^  //p' server.template | tr '\n' ' ')"
expect 'smdishserver: its key' \
    '{ path = "/keys/smdish.key", type = "encrypted", uri = "file:keys/smdish.key", key_name = "default" },' \
    "$(lines server 'uri = "file:keys/')"
expect 'smdishserver: what is insecure' '' "$(lines server insecure)"
expect 'smdishserver: directories that are trusted' '' "$(lines server '^  "[^"]*/",$')"
expect 'smdishserver: files that the host may change' '' "$(lines server allowed_files)"

for tenant in 0 1 2 3; do
	TENANT=$tenant
	export TENANT
	made tenant smufserver.conf -Z /pki/$tenant/root.crt /pki/$tenant/smuf.crt /keys/$tenant/smuf.key \
	    -r /memfiles$tenant tcp:127.0.0.1:901$tenant
	expect "tenant $tenant: what the host may change" "\"file:mem/$tenant/\"," \
	    "$(sed -n '/^sgx.allowed_files/,/^]/s/^  //p' tenant.template)"
	for other in 0 1 2 3; do
		[ $other = $tenant ] ||
			expect "tenant $tenant: files of tenant $other" '' "$(lines tenant "/${other}[/\"]")"
	done
done
unset TENANT
"$BUILD/makemanifest" -o tenant.template smufserver.conf >said 2>&1
expect 'smufserver without a tenant: exit status' 1 $?
expect_match 'smufserver without a tenant' 'smufserver.conf:*:12: $TENANT is not set' "$(cat said)"

for kind in smdish smuf smc; do
	made $kind smbench-$kind.conf -f /smbench-$kind.conf
	made $kind.trial --trial smbench-$kind.conf
	expect "$kind: what is insecure in a trial" \
	    'loader.insecure__use_cmdline_argv = true fs.insecure__keys.default = "0123456789abcdef0123456789abcdef" ' \
	    "$(lines $kind.trial insecure | tr '\n' ' ')"
	expect "$kind: what is insecure without" '' "$(lines $kind insecure)"
done
expect 'smc: its directory' '{ path = "/mem/2", type = "untrusted_shm", uri = "dev:mem/2" },' \
    "$(lines smc untrusted_shm)"
expect 'smc: what the host may change' '"dev:mem/2/",' "$(lines smc '^  "dev:')"

for kind in smdish smuf smc; do
	made web -p bin/libsmpreload.so -e SM_CONF=/nginx-$kind.conf nginx-$kind.conf -c /nginx.conf -e stderr
	expect "nginx, $kind: its preloaded library" 'loader.env.LD_PRELOAD = "/bin/libsmpreload.so"' \
	    "$(lines web LD_PRELOAD)"
	expect "nginx, $kind: its web key" \
	    '{ path = "/site/pki/web.key", type = "encrypted", uri = "file:keys/web.key", key_name = "default" },' \
	    "$(lines web 'web.key')"
	expect "nginx, $kind: what is insecure" '' "$(lines web insecure)"
	case $kind in
	smdish) may= ;;
	smuf) may='"file:mem/",' ;;
	smc) may='"dev:mem/",' ;;
	esac
	expect "nginx, $kind: what the host may change" "$may" \
	    "$(sed -n '/^sgx.allowed_files/,/^]/s/^  //p' web.template | xargs -d '\n')"
done

bin/smbench -f nginx-smc.conf /sm/mem /sm/mem 1024 100 >said 2>&1
expect "smbench with nginx's file: exit status" 0 $?
bin/smbench -f smbench-smc.conf /memserver2/mem /memserver2/mem 1024 1000 >said 2>&1
expect 'smbench over smc with the same file: exit status' 0 $?
expect_match 'smbench over smc with the same file' 'critical sections: 1000, *' "$(cat said)"

page=$SRC/deploy/makemanifest.1
expect 'makemanifest(1): directives' \
    "$(sed -n 's/^	{ "\([A-Z_]*\)", [0-9].*/\1/p' "$SRC/deploy/package.c" | sort)" \
    "$(sed -n 's/^\.It Ic \([A-Z_]*\) .*/\1/p' "$page" | sort -u)"

finish
