#!/bin/sh
# Revoked certificates, as an operator meets them, with both servers: whom -C refuses, sessions that
# end at SIGHUP, at a request of smstat -r and when the file has changed, lists that are no good, and
# lists that expire; and clients with CRLFILE, which refuse a revoked server.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

# pki ARGUMENT...: mkpki, which must succeed
pki()
{
	"$mkpki" "$@" >mkpki.log 2>&1 && return
	cat mkpki.log
	exit 1
}

# hold NAME: connects with the certificate, asks for an empty table, and stays: its process in held,
# what came in held.NAME
hold()
{
	rm -f requests
	mkfifo requests
	# served() must not see the replies to an earlier one.
	: >"held.$1"
	openssl s_client -quiet -unix ./sock -CAfile pki/root.crt -cert "pki/$1.crt" -key "pki/$1.key" \
	    <requests >"held.$1" 2>/dev/null &
	held=$!
	remember "$held"
	exec 9>requests
	printf '\0\0\0\0\0\0\0\0' >&9
}

# served NAME [COUNT]: so many whole replies have come, or one
# shellcheck disable=SC2317 # await calls it
served()
{
	[ "$(wc -c <"held.$1")" -eq $((8 * ${2:-1})) ]
}

let_go()
{
	is_another "${started##* }" || kill -KILL "$held" 2>/dev/null
	wait "$held" 2>/dev/null
	exec 9>&-
}

# accepted WHAT NAME
accepted()
{
	hold "$2"
	await "$1" served "$2"
	let_go
}

# refused WHAT NAME REASON: its connection ends without a reply, and the log says why
refused()
{
	: >log
	hold "$2"
	await "$1: it ends" ended "$held"
	expect "$1: bytes of a reply" 0 "$(wc -c <"held.$2")"
	await "$1: the log says why" has log "refused in the TLS handshake: .*: $3"
	let_go
}

# told COUNT WHAT PATTERN: the log has so many lines that match
told()
{
	expect "$2: lines of the log" "$1" "$(grep -c -- "$3" log)"
}

operator='-Z pki/root.crt pki/boss.crt pki/boss.key'

# put LIST: the list is the one of -C from now on, at once
put()
{
	cp "$1" new.crl && mv new.crl now.crl
}

pki init pki && pki server pki server && pki server pki stolen && pki client pki app &&
    pki client pki stays && pki client pki leaked && pki client pki lost && pki client pki boss &&
    pki init other || exit 1
pki crl other
pki crl pki && cp pki/root.crl nobody.crl
pki revoke pki pki/leaked.crt && cp pki/root.crl leaked.crl
pki revoke pki pki/lost.crt && cp pki/root.crl both.crl
pki -s 20200101000000Z -e 20200201000000Z crl pki && cp pki/root.crl expired.crl
pki crl pki && cp pki/root.crl again.crl
pki revoke pki pki/stolen.crt && cp pki/root.crl stolen.crl

# What a server does not start with.
kind=smdish
# does_not_start WHAT PATTERN FILE
does_not_start()
{
	run -Z pki/root.crt pki/server.crt pki/server.key -C "$3" ./sock
	expect "$1: exit status" 1 "$status"
	expect_match "$1" "*not started: -C $3: $2*" "$err"
}
does_not_start 'no list' 'No such file or directory: put a list there' none.crl
does_not_start 'a directory' 'Is a directory: put a list there' pki
does_not_start 'a certificate' 'the file has no revocation list in PEM form: it has a certificate' pki/root.crt
does_not_start "another root's" 'no CA that is trusted here has signed the list' other/root.crl
run -C now.crl ./sock
expect '-C without -Z: exit status' 2 "$status"
expect_match '-C without -Z' '*-C needs -Z*' "$err"

for kind in smdish smuf; do
	server=$BUILD/${kind}server
	set -- -Z pki/root.crt pki/server.crt pki/server.key -C now.crl --operators boss
	if [ $kind = smuf ]; then
		mkdir mem
		set -- "$@" -r mem
	fi
	put nobody.crl
	start "$@" ./sock
	await "$kind: it starts" has log 'listening on'
	accepted "$kind: nobody is revoked" leaked

	# SIGHUP: the session ends, others stay, and the certificate is refused.
	hold stays
	await "$kind: who stays is served" served stays
	stays=$held
	exec 8>&9
	hold leaked
	await "$kind: who is to be revoked is served" served leaked
	put leaked.crl
	kill -HUP $pid
	await "$kind: at SIGHUP the session ends" ended "$held"
	await "$kind: SIGHUP in the log" has log 'SIGHUP: certificates reloaded$'
	told 1 "$kind: the session" 'leaked (pid .*: connection closed: its certificate is revoked'
	told 1 "$kind: sessions" 'revoked certificates: sessions that end: 1'
	told 1 "$kind: the list" '-C now.crl: certificates revoked: 1'
	let_go
	refused "$kind: a revoked certificate" leaked 'it is revoked'
	accepted "$kind: another certificate" lost

	# Lists that are no good: the last one stays.
	# keeps WHAT PATTERN
	keeps()
	{
		: >log
		kill -HUP $pid
		await "$kind: $1" has log "error: -C now.crl: $2.*; the last revocation list stays in use"
		await "$kind: $1: the rest is reloaded" has log 'SIGHUP: certificates reloaded$'
		expect "$kind: $1: errors" 1 "$(grep -c error: log)"
		accepted "$kind: $1: another certificate" app
		refused "$kind: $1: a revoked certificate" leaked 'it is revoked'
	}
	put nobody.crl
	keeps 'an older list' 'the list of .* is older than the one in use, made .*: put the newest there'
	put other/root.crl
	keeps "another root's list" 'no CA that is trusted here has signed the list of .*mkpki crl'
	sed '2s/./-/' leaked.crl >broken.crl
	put broken.crl
	keeps 'a damaged list' 'the file has no revocation list in PEM form: it is damaged'
	rm now.crl
	keeps 'no list' 'No such file or directory: put a list there'
	mkfifo now.crl
	keeps 'a pipe' 'Operation not supported: put a list there'
	rm now.crl

	# An operator's request does what SIGHUP does.
	hold lost
	await "$kind: who is to be revoked next is served" served lost
	put both.crl
	# shellcheck disable=SC2086 # words
	"$BUILD/smstat" -r $operator ./sock >out 2>err
	expect "smstat -r, $kind: status and standard error" '0 ' "$? $(cat err)"
	expect_match "smstat -r, $kind" "*/sock: certificates reloaded, and the log file if there is one; revocation list\
 reloaded; 2 revoked, valid for 29d23h; sessions that end: 1" "$(cat out)"
	await "smstat -r, $kind: the session ends" ended "$held"
	told 1 "smstat -r, $kind: who asked" 'boss (pid [^)]*): certificates reloaded'
	let_go
	refused "smstat -r, $kind: the certificate" lost 'it is revoked'
	put nobody.crl
	# shellcheck disable=SC2086
	"$BUILD/smstat" --reload $operator ./sock >out 2>err
	expect "smstat -r with an old list, $kind: status and output" '1 ' "$? $(cat out)"
	expect_match "smstat -r with an old list, $kind" "*/sock: certificates reloaded, and the log file if there is one; the old\
 revocation list stays in use; 2 revoked,*: -C now.crl: the list of * is older than *" "$(cat err)"
	"$BUILD/smstat" -r -Z pki/root.crt pki/app.crt pki/app.key ./sock >out 2>err
	expect "smstat -r of no operator, $kind: status" 1 $?
	expect_match "smstat -r of no operator, $kind" '*this client is no operator*' "$(cat err)"

	# An expired list: who is there stays, and nobody new gets in. The file is looked at without a signal.
	put expired.crl
	await "$kind: an expired list" has log 'error: -C now.crl: the revocation list has expired'
	refused "$kind: with an expired list" app 'the revocation list of its CA has expired here'
	printf '\0\0\0\0\0\0\0\0' >&8
	await "$kind: who stayed is served on" served stays 2
	put again.crl
	await "$kind: a new list, without a signal" has log '-C now.crl: certificates revoked: 2'
	accepted "$kind: after the new list" app
	exec 8>&-
	kill -KILL "$stays"
	# A list that expires while the server looks on.
	pki -s 20200101000000Z -e "$(date -u -d "+$((patience / 5)) seconds" +%Y%m%d%H%M%SZ)" crl pki
	put pki/root.crl
	: >log
	kill -HUP $pid
	await "$kind: a list that expires soon" has log 'warning: -C now.crl: the revocation list expires in 0 hours'
	await "$kind: it has expired" has log 'error: -C now.crl: the revocation list has expired'
	refused "$kind: when it has expired" app 'the revocation list of its CA has expired here'
	pki crl pki
	end "$kind"

	# A client whose CRLFILE has the server's certificate. Each connection looks at the file again.
	# runs STATUS PATTERN WHAT: a client that works with a memory file; its words
	runs()
	{
		timeout -k 1 "$patience" "$BUILD/smbench" -f app.conf /shared/a /shared/a 64 10 >out 2>err
		expect "$kind client, $3: status" "$1" $?
		expect_match "$kind client, $3: standard error" "$2" "$(cat err)"
	}
	uri=unix:sock
	set -- -Z pki/root.crt pki/stolen.crt pki/stolen.key ./sock
	if [ $kind = smuf ]; then
		uri=$uri,file:mem
		set -- -r mem "$@"
	fi
	printf '%s\n' "MOUNT $uri /shared $kind" 'CAFILE pki/root.crt' 'CERTFILE pki/app.crt' \
	    'KEYFILE pki/app.key' 'CRLFILE now.crl' >app.conf
	start "$@"
	await "$kind: it starts with a stolen certificate" has log 'listening on'
	put nobody.crl
	runs 0 '' 'nobody is revoked'
	put stolen.crl
	runs 1 "*the peer's certificate is refused: it is revoked*" 'the server is revoked'
	put expired.crl
	runs 1 "*the peer's certificate is refused: the revocation list of its CA has expired here*" 'expired'
	put pki/root.crt
	runs 1 '*now.crl: the file has no revocation list in PEM form: it has a certificate instead*' 'no list'
	# shellcheck disable=SC2086
	"$BUILD/smstat" -i 0 -C stolen.crl $operator ./sock >out 2>err
	expect "smstat -C, $kind: status" 1 $?
	expect_match "smstat -C, $kind" "smstat: ./sock: the peer's certificate is refused: it is revoked" "$(cat err)"
	put nobody.crl
	runs 0 '' 'nobody is revoked again'
	end "$kind with a stolen certificate"
done

finish
