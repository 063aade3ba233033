#!/bin/sh
# The keys of smdishserver (-Z): keys with which it does not start, keys of which it warns, and
# SIGHUP, which loads them again while it serves.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

"$mkpki" init pki >/dev/null && "$mkpki" server pki one >/dev/null &&
    "$mkpki" server pki two >/dev/null && "$mkpki" client pki client >/dev/null &&
    "$mkpki" -d 10 server pki brief >/dev/null &&
    "$mkpki" -s 20200101000000Z -e 20200201000000Z server pki late >/dev/null || exit 1

# refused WHAT PATTERN CA CERT KEY: it does not start, and logs the reason
refused()
{
	run -Z "$3" "$4" "$5" ./sock
	expect "$1: exit status" 1 "$status"
	expect_match "$1" "*$2*" "$err"
	expect "$1: sockets left" '' "$(find . -type s)"
}

echo 'no PEM' >garbage
refused 'no CA file' 'pki/none.crt: No such file*' pki/none.crt pki/one.crt pki/one.key
refused 'no certificate file' 'pki/none.crt: No such file*' pki/root.crt pki/none.crt pki/one.key
refused 'no key file' 'pki/none.key: No such file*' pki/root.crt pki/one.crt pki/none.key
refused 'a CA that is none' 'garbage: *' garbage pki/one.crt pki/one.key
refused 'a certificate that is none' 'garbage: *' pki/root.crt garbage pki/one.key
refused 'a key that is none' 'garbage: *' pki/root.crt pki/one.crt garbage
refused "another certificate's key" 'pki/two.key: *pki/one.crt*' pki/root.crt pki/one.crt pki/two.key
refused "a client's certificate" 'pki/client.crt: *not a certificate for a server*' \
    pki/root.crt pki/client.crt pki/client.key

start -Z pki/root.crt pki/brief.crt pki/brief.key ./sock
await 'a certificate that ends soon: it starts' has log 'listening on'
expect_match 'a certificate that ends soon' '*warning: *pki/brief.crt expires in [0-9]* days*' "$(cat log)"
end 'a certificate that ends soon'
start -Z pki/root.crt pki/late.crt pki/late.key ./sock
await 'an expired certificate: it starts' has log 'listening on'
expect_match 'an expired certificate' '*pki/late.crt has expired*' "$(cat log)"
end 'an expired certificate'

# presented: the name in the certificate that the server shows to a new client
presented()
{
	openssl s_client -unix ./sock -CAfile pki/root.crt -cert pki/client.crt -key pki/client.key \
	    -verify_return_error </dev/null 2>/dev/null | sed -n 's/^subject=CN *= *//p'
}

# presents NAME
# shellcheck disable=SC2317 # await calls it
presents()
{
	[ "$(presented)" = "$1" ]
}

# replies COUNT: that many whole replies have come over the connection that stays
# shellcheck disable=SC2317
replies()
{
	[ "$(wc -c <replies)" -eq $((8 * $1)) ]
}

cp pki/one.crt now.crt && cp pki/one.key now.key || exit 1
start -Z pki/root.crt now.crt now.key ./sock
await 'it starts' has log 'listening on'
expect 'the certificate it started with' one "$(presented)"
# A connection that stays all the time, and asks for an empty table each time.
mkfifo requests
openssl s_client -quiet -unix ./sock -CAfile pki/root.crt -cert pki/client.crt -key pki/client.key \
    <requests >replies 2>/dev/null &
stays=$!
remember "$stays"
exec 9>requests
printf '\0\0\0\0\0\0\0\0' >&9
await 'the connection that stays is served' replies 1

cp pki/two.crt now.crt && cp pki/two.key now.key || exit 1
kill -HUP $pid
await 'after SIGHUP it shows the new certificate' presents two
expect_match 'SIGHUP in the log' '*SIGHUP: *reloaded*' "$(cat log)"
printf '\0\0\0\0\0\0\0\0' >&9
await 'who was connected is served on' replies 2

# With a certificate and a key that do not match the server keeps the old ones.
cp pki/one.crt now.crt
kill -HUP $pid
await 'it says that the new ones are no good' has log 'SIGHUP: the old certificates stay in use'
expect_match 'and why' '*error: -Z CA CERT KEY: now.key: *now.crt*' "$(cat log)"
expect 'it shows what it showed before' two "$(presented)"
printf '\0\0\0\0\0\0\0\0' >&9
await 'who was connected is served still' replies 3

# Nobody is at the other end of a pipe, and a device has no end: the server waits for neither.
rm now.key && mkfifo now.key
kill -HUP $pid
await 'it says that a pipe is no key' has log 'error: -Z CA CERT KEY: one of them is not a regular file'
printf '\0\0\0\0\0\0\0\0' >&9
await 'who was connected is served beside a pipe' replies 4
rm now.key && ln -s /dev/zero now.key
kill -HUP $pid
printf '\0\0\0\0\0\0\0\0' >&9
await 'who was connected is served beside a device' replies 5
exec 9>&-
end 'the server of these keys'

finish
