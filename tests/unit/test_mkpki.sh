#!/bin/sh
# mkpki: its certificates are for a server or a client and never for both, expire as told, are
# readable by no other user, and never replace a file. Environment: SRC, the root of the repository;
# TMPDIR, where to work.

# shellcheck disable=SC2016 # what is in single quotes is meant as it stands
set -u
unset CDPATH
SRC=${SRC:-$(cd "$(dirname "$0")/../.." && pwd)} || exit 1
mkpki=$(cd "$SRC" && pwd)/deploy/mkpki
# shellcheck source=tests/system/check.sh
. "$SRC/tests/system/check.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/mkpki.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
umask 022

# status COMMAND...: runs it, prints its exit status; its output goes to the file "said".
status()
{
	"$@" >said 2>&1 </dev/null
	echo $?
}

# must COMMAND...: runs it; the test cannot go on without it.
must()
{
	"$@" >said 2>&1 </dev/null && return
	printf '%s: expected: success\ncame:\n' "$*"
	cat said
	exit 1
}

mode()
{
	stat -c %a "$1"
}

extensions()
{
	openssl x509 -in "$1" -noout -ext "$2" | tail -n +2 | sed 's/^ *//'
}

# verdict CA PURPOSE CERT: openssl's verdict on the certificate for that purpose, in one line.
verdict()
{
	openssl verify -x509_strict -CAfile "$1" -purpose "$2" "$3" 2>&1 | tr '\n' ' '
}

# snapshot DIRECTORY: its files with their checksums, to see that nothing changed.
snapshot()
{
	(cd "$1" && for f in $(find . | sort); do
		if [ -d "$f" ]; then
			echo "$f"
		else
			cksum "$f"
		fi
	done)
}

must "$mkpki" init pki
must "$mkpki" server pki alpha 10.1.2.3 IP:fe80::1 DNS:memory.example.org other.example.org localhost
must "$mkpki" client pki beta
must "$mkpki" -s 20200101000000Z -e 20200201000000Z client pki old-client
must "$mkpki" -s 20200101000000Z -e 20200201000000Z server pki old-server
must "$mkpki" init other
must "$mkpki" client other beta

# Permissions, and no other files.
expect 'files made' "$(printf '%s\n' alpha.crt alpha.key beta.crt beta.key old-client.crt \
    old-client.key old-server.crt old-server.key root.crt root.key)" "$(ls -A pki)"
expect 'mode of the directory' 700 "$(mode pki)"
for name in root alpha beta old-client; do
	expect "mode of $name.key" 600 "$(mode pki/$name.key)"
	expect "mode of $name.crt" 644 "$(mode pki/$name.crt)"
done
umask 000
must "$mkpki" init open
must "$mkpki" client open gamma
umask 022
expect 'mode of the directory, with umask 000' 700 "$(mode open)"
expect 'mode of a key, with umask 000' 600 "$(mode open/gamma.key)"

# The purposes of the certificates.
expect 'the root' 'CA:TRUE, pathlen:0' "$(extensions pki/root.crt basicConstraints)"
expect "the root's key usage" 'Certificate Sign' "$(extensions pki/root.crt keyUsage)"
expect 'a server certificate' 'CA:FALSE' "$(extensions pki/alpha.crt basicConstraints)"
expect 'a client certificate' 'CA:FALSE' "$(extensions pki/beta.crt basicConstraints)"
expect "a server's extended key usage" 'TLS Web Server Authentication' \
    "$(extensions pki/alpha.crt extendedKeyUsage)"
expect "a client's extended key usage" 'TLS Web Client Authentication' \
    "$(extensions pki/beta.crt extendedKeyUsage)"
expect "a server's names" 'DNS:alpha, DNS:localhost, IP Address:127.0.0.1,'\
' IP Address:0:0:0:0:0:0:0:1, IP Address:10.1.2.3, IP Address:FE80:0:0:0:0:0:0:1,'\
' DNS:memory.example.org, DNS:other.example.org' "$(extensions pki/alpha.crt subjectAltName)"
for name in alpha beta; do
	expect "the subject of $name.crt" "subject=CN=$name" \
	    "$(openssl x509 -in pki/$name.crt -noout -subject -nameopt RFC2253)"
done

expect 'server as server' 'pki/alpha.crt: OK ' "$(verdict pki/root.crt sslserver pki/alpha.crt)"
expect 'client as client' 'pki/beta.crt: OK ' "$(verdict pki/root.crt sslclient pki/beta.crt)"
expect_match 'client as server' '*unsuitable certificate purpose*' \
    "$(verdict pki/root.crt sslserver pki/beta.crt)"
expect_match 'server as client' '*unsuitable certificate purpose*' \
    "$(verdict pki/root.crt sslclient pki/alpha.crt)"
expect_match 'a client that has expired' '*certificate has expired*' \
    "$(verdict pki/root.crt sslclient pki/old-client.crt)"
expect_match 'a server that has expired' '*certificate has expired*' \
    "$(verdict pki/root.crt sslserver pki/old-server.crt)"
expect_match 'a client of another root' '*unable to get local issuer certificate*' \
    "$(verdict pki/root.crt sslclient other/beta.crt)"
expect 'that client at home' 'other/beta.crt: OK ' "$(verdict other/root.crt sslclient other/beta.crt)"
must "$mkpki" -e 20990101000000Z client pki until
expect_match 'valid until' '*Jan  1 00:00:00 2099 GMT' "$(openssl x509 -in pki/until.crt -noout -enddate)"
must "$mkpki" -d 30 client pki month
expect 'valid for 30 days: after 29' 0 \
    "$(status openssl x509 -in pki/month.crt -noout -checkend $((29 * 86400)))"
expect 'valid for 30 days: after 31' 1 \
    "$(status openssl x509 -in pki/month.crt -noout -checkend $((31 * 86400)))"

# Keys.
for name in root alpha beta; do
	expect "$name.key fits $name.crt" "$(openssl x509 -in pki/$name.crt -noout -pubkey)" \
	    "$(openssl pkey -in pki/$name.key -pubout)"
	expect_match "the curve of $name.key" '*ASN1 OID: prime256v1*' \
	    "$(openssl pkey -in pki/$name.key -noout -text)"
done
for f in pki/*.crt other/*.crt; do
	openssl x509 -in "$f" -noout -serial
done >serials
expect 'serials that came twice' '' "$(sort serials | uniq -d)"
expect 'serials much shorter than 128 bits' '' "$(grep -Ev '^serial=[0-9A-F]{24,32}$' serials)"

# It never overwrites, and reports that.
before=$(snapshot pki)
for args in 'init pki' 'server pki alpha' 'client pki alpha' 'client pki beta'; do
	# shellcheck disable=SC2086 # words
	expect "mkpki $args, a second time" 1 "$(status "$mkpki" $args)"
	expect_match "its message" '*exists and is left alone*' "$(cat said)"
done
for suffix in crt key; do
	must "$mkpki" client pki half
	rm "pki/half.$suffix"
	half=$(snapshot pki)
	expect "mkpki where one of two files is left" 1 "$(status "$mkpki" client pki half)"
	expect 'what it left' "$half" "$(snapshot pki)"
	rm pki/half.*
done
ln -s nowhere pki/dangling.key
expect 'mkpki where a dangling link is' 1 "$(status "$mkpki" client pki dangling)"
expect_match 'its message' '*exists and is left alone*' "$(cat said)"
rm pki/dangling.key

# Refusals.
for name in .hidden -dash ../escape a/b 'a b' 'a;b' 'a$b' '' root "$(printf %065d 0)" 'a
b'; do
	expect "status for the name '$name'" 2 "$(status "$mkpki" client pki "$name")"
	expect_match "its message" "*name*" "$(cat said)"
done
for san in DNS: IP: 'a,b' 'DNS:a/b' 'email:x@example.org' 'DNS:a,IP:1.2.3.4' '' ; do
	expect "status for the alternative name '$san'" 2 "$(status "$mkpki" server pki delta "$san")"
done
expect 'status for the address 1.2.3' 1 "$(status "$mkpki" server pki delta 1.2.3)"
for days in 0 -1 x '' 100000; do
	expect "status for -d '$days'" 2 "$(status "$mkpki" -d "$days" client pki delta)"
done
for end in 2020 20200101000000 20200101000000Z 20991301000000Z 20990001000000Z 20990132000000Z \
    20990100000000Z 20990101240000Z 20990101006000Z 20990101000060Z; do
	expect "status for -e $end" 2 "$(status "$mkpki" -e $end client pki delta)"
done
expect 'status for -e on the 31st of February' 1 "$(status "$mkpki" -e 20990231000000Z client pki delta)"
expect 'status where there is no root' 1 "$(status "$mkpki" client . delta)"
mkdir -m 777 shared
expect 'status where others may write' 1 "$(status "$mkpki" init shared)"
expect_match 'its message' '*others may write*' "$(cat said)"
expect 'what all that has changed' "$before" "$(snapshot pki)"

# No half-made file stays when openssl fails, at whatever step, when the name is taken meanwhile, or
# when mkpki gets a signal. fake_openssl LINE: an openssl that executes LINE first.
mkdir bin
real=$(command -v openssl)
fake_openssl()
{
	printf '#!/bin/sh\n%s\nexec "%s" "$@"\n' "$1" "$real" >bin/openssl
	chmod 755 bin/openssl
}
for step in rand req ca x509; do
	fake_openssl "[ \"\$1\" != $step ] || exit 1"
	expect "status when openssl $step fails" 1 "$(PATH=$work/bin:$PATH status "$mkpki" client pki delta)"
	expect "status when openssl $step fails" 1 "$(PATH=$work/bin:$PATH status "$mkpki" init fresh)"
	expect 'what is left of a new directory' no "$([ -e fresh ] && echo yes || echo no)"
done
expect 'what that has left' "$before" "$(snapshot pki)"
fake_openssl '[ "$1" != x509 ] || echo foreign >../delta.crt'
expect 'status when the name is taken meanwhile' 1 \
    "$(PATH=$work/bin:$PATH status "$mkpki" client pki delta)"
expect 'the file that came between' foreign "$(cat pki/delta.crt)"
rm pki/delta.crt
expect 'what that has left' "$before" "$(snapshot pki)"
fake_openssl '[ "$1" != x509 ] || kill -TERM $PPID'
expect 'status when told to stop' 1 "$(PATH=$work/bin:$PATH status "$mkpki" client pki delta)"
expect 'what that has left' "$before" "$(snapshot pki)"

# --help prints what the messages promise.
expect 'status of --help' 0 "$(status "$mkpki" --help)"
expect_match '--help' 'usage: mkpki *init DIR*server DIR NAME*client DIR NAME*' "$(cat said)"

finish
