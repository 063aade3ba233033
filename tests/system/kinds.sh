# kinds.sh: memory files of all three kinds, for the scripts that source it; lib.sh comes with it.
#
# Starts both servers (their processes are in dish and muf), with TLS, and writes the mount file
# $work/mounts: files of each kind are below a path of kinds.

# shellcheck shell=sh disable=SC2034 # some variables are for the scripts
# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"
mkdir memdir smcdir
head -c 32 /dev/urandom >key
chmod 600 key
{ "$mkpki" init pki && "$mkpki" server pki server && "$mkpki" client pki client; } >/dev/null || exit 1
cat >mounts <<END
MOUNT unix:$work/dish.sock /sm/dish smdish
MOUNT unix:$work/muf.sock,file:$work/memdir /sm/muf smuf
MOUNT file:$work/smcdir /sm/smc smc key=key
CAFILE pki/root.crt
CERTFILE pki/client.crt
KEYFILE pki/client.key
END
kinds='/sm/dish /sm/muf /sm/smc'

# serve NAME PROGRAM ARGUMENT...: starts a server at NAME.sock
serve()
{
	name=$1
	server=$BUILD/$2
	shift 2
	start -Z pki/root.crt pki/server.crt pki/server.key "$@" "$work/$name.sock"
	await "$name starts" has log "listening on $work/$name.sock"
}

serve dish smdishserver
dish=$pid
serve muf smufserver -r memdir
muf=$pid
