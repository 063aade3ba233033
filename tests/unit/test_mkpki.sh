#!/bin/sh
# mkpki: its certificates are for a server or a client and never for both, expire as told, are
# readable by no other user, and never replace a file unless they renew it; what it revokes is on the
# list, and the index has all. Environment: SRC, the root of the repository; TMPDIR, where to work.

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
expect 'files made' "$(printf '%s\n' alpha.crt alpha.key beta.crt beta.key index \
    old-client.crt old-client.key old-server.crt old-server.key root.crt root.key)" "$(ls -A pki)"
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
expect "the root's key usage" 'Certificate Sign, CRL Sign' "$(extensions pki/root.crt keyUsage)"
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
must "$mkpki" -e 20960229000000Z client pki leap
expect_match 'valid until a leap day' '*Feb 29 00:00:00 2096 GMT' "$(openssl x509 -in pki/leap.crt -noout -enddate)"
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
before=$(snapshot pki)

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
    20990100000000Z 20990101240000Z 20990101006000Z 20990101000060Z 20990231000000Z 20990229000000Z \
    20990431000000Z 21000229000000Z; do
	expect "status for -e $end" 2 "$(status "$mkpki" -e $end client pki delta)"
done
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

# The index: a line for each certificate that was made.
# listed DIR: the list without serials and the two lines around it, blanks as one
listed()
{
	"$mkpki" list "$1" | sed '1d;/root.crl/d' | awk '{ $NF = ""; sub(/ $/, ""); print }'
}

must "$mkpki" -e 20760101000000Z init lists 'some root'
must "$mkpki" -e 20770101000000Z -a 10.0.0.1 -a b.example server lists alpha
must "$mkpki" -e 20480101000000Z client lists beta
must "$mkpki" -s 20200101000000Z -e 20200201000000Z client lists late
expect 'the list' 'some root root 2076-01-01 valid
alpha server 2077-01-01 valid
beta client 2048-01-01 valid
late client 2020-02-01 expired' "$(listed lists)"
expect_match 'alternative names by -a' 'DNS:alpha,*, IP Address:10.0.0.1, DNS:b.example' \
    "$(extensions lists/alpha.crt subjectAltName)"
expect '-a for a client' 2 "$(status "$mkpki" -a x client lists gamma)"
for i in 1 2 3 4; do
	"$mkpki" client lists "at-once-$i" >/dev/null &
done
wait
expect 'lines of four that were made at once' 4 "$(listed lists | grep -c '^at-once-')"

# revoked DIR: the serials on the list, verified
revoked()
{
	openssl crl -in "$1/root.crl" -CAfile "$1/root.crt" -noout -verify 2>&1 | grep -v '^verify OK$'
	openssl crl -in "$1/root.crl" -noout -text | sed -n 's/^ *Serial Number: //p'
}

serial()
{
	openssl x509 -in "$1" -noout -serial | sed 's/^serial=//'
}

number()
{
	openssl crl -in "$1/root.crl" -noout -crlnumber | sed 's/^crlNumber=0x//'
}

# Revoking, by a file and by a serial in either form.
must "$mkpki" crl lists
expect 'a first list' '' "$(revoked lists)"
expect 'its mode' 644 "$(mode lists/root.crl)"
first=$(number lists)
# Its file may begin as an option does.
cp lists/beta.crt ./-beta.crt && must "$mkpki" revoke lists -beta.crt
expect_match 'revoking a file' '*revoked beta (client, serial *lists/root.crl (1 revoked, valid until *)*' "$(cat said)"
expect 'what is on the list' "$(serial lists/beta.crt)" "$(revoked lists)"
expect 'its number is greater' 1 "$((0x$(number lists) > 0x$first))"
must "$mkpki" revoke lists "$(serial lists/late.crt | tr A-F a-f | sed 's/../&:/g;s/:$//')"
must "$mkpki" -d 1 revoke lists "$(serial lists/at-once-1.crt)"
expect 'what is on the list then' "$(for name in beta late at-once-1; do serial "lists/$name.crt"; done | sort)" \
    "$(revoked lists | sort)"
expect_match 'revoked ones in the index' "*
beta client 2048-01-01 revoked $(date -u +%Y)-*
late client 2020-02-01 revoked $(date -u +%Y)-*" "$(listed lists)"
expect_match 'the end of the list' "*
lists/root.crl is valid until *" "$("$mkpki" list lists)"
must "$mkpki" -s 20200101000000Z -e 20200201000000Z crl lists
expect 'a list that has expired' 'nextUpdate=Feb  1 00:00:00 2020 GMT' \
    "$(openssl crl -in lists/root.crl -noout -nextupdate)"
expect 'its number is greater still' 1 "$((0x$(number lists) > 0x$first + 3))"

# A reader may list, without the right to write, and changes nothing; without an index, too.
# reader COMMAND...: with the rights of the mode, also where this test runs as root
reader()
{
	if [ "$(id -u)" = 0 ]; then
		setpriv --bounding-set=-all --inh-caps=-all "$@"
	else
		"$@"
	fi
}

expect 'mode of the index' 644 "$(mode lists/index)"
cp -R lists read && cp -R pki read.new && rm read.new/index || exit 1
for dir in read read.new; do
	chmod 555 $dir
	expect "a reader of $dir may not write there" 2 "$(status reader sh -c ": >$dir/new")"
	before=$(stat -c %z $dir; snapshot $dir)
	expected=$("$mkpki" list $dir)
	expect "list $dir, by a reader: status" 0 "$(status reader "$mkpki" list $dir)"
	expect "list $dir, by a reader" "$expected" "$(cat said)"
	expect "list $dir: its lines, at least 8" yes "$([ "$(grep -c . said)" -ge 8 ] && echo yes || cat said)"
	expect "list $dir: what changed" "$before" "$(stat -c %z $dir; snapshot $dir)"
	chmod 755 $dir
done

# A list that is over is no valid one.
expect_match 'a list that has expired, listed' "*
lists/root.crl expired on 2020-02-01 00:00:00Z, and *: 'mkpki crl lists' makes it anew" "$("$mkpki" list lists)"
must "$mkpki" -e 20690101000000Z crl lists
expect_match 'a list that has not expired, listed' "*
lists/root.crl is valid until 2069-01-01 00:00:00Z" "$("$mkpki" list lists)"

# What cannot be revoked; none of it changes anything.
before=$(snapshot lists)
# refused STATUS PATTERN ARGUMENT...
refused()
{
	expected=$1 pattern=$2
	shift 2
	expect "mkpki $*: status" "$expected" "$(status "$mkpki" "$@")"
	expect_match "mkpki $*" "mkpki: $pattern" "$(head -n 1 said)"
	expect "mkpki $*: what changed" "$before" "$(snapshot lists)"
}
refused 1 'the certificate is revoked already*' revoke lists lists/beta.crt
mv lists/index kept
before=$(snapshot lists)
refused 1 '*/index is missing, which has what was revoked*backup' revoke lists lists/at-once-2.crt
refused 1 '*/index is missing, which has what was revoked*backup' crl lists
mv kept lists/index
before=$(snapshot lists)
refused 1 'no certificate in lists/index has the serial 1234*list lists*' revoke lists 1234
refused 1 'nobody is neither a file nor a serial*' revoke lists nobody
refused 1 '*/lists/alpha.key: the file has no certificate*' revoke lists lists/alpha.key
refused 1 '*/other/beta.crt: another root has signed it*' revoke lists other/beta.crt
refused 1 'a root cannot be revoked*' revoke lists lists/root.crt
refused 1 'a root cannot be revoked*' revoke lists "$(serial lists/root.crt)"
refused 1 'lists/beta.crt is revoked*remove beta.crt and*client lists beta*' renew lists beta
refused 1 'lists/nobody.key cannot be read: there is nothing to renew' renew lists nobody
refused 2 'revoke takes DIR and a certificate*' revoke lists
refused 2 'crl takes DIR' crl lists beta
refused 2 'list takes DIR' list
refused 2 'there is no command*' unrevoke lists lists/beta.crt
refused 2 '-a: only servers have alternative names' -a x renew lists at-once-2
for step in ca crl x509; do
	fake_openssl "[ \"\$1\" != $step ] || exit 1"
	PATH=$work/bin:$PATH refused 1 '*' revoke lists lists/at-once-2.crt
done

# Renewing keeps the key, the role and the names; the old certificate is in the index still.
old=$(serial lists/alpha.crt) key=$(cksum <lists/alpha.key)
must "$mkpki" -e 20780101000000Z -a IP:10.0.0.2 renew lists alpha
expect 'a renewed key' "$key" "$(cksum <lists/alpha.key)"
expect 'the key is that of the new certificate' "$(openssl x509 -in lists/alpha.crt -noout -pubkey)" \
    "$(openssl pkey -in lists/alpha.key -pubout)"
expect 'a renewed server' 'lists/alpha.crt: OK ' "$(verdict lists/root.crt sslserver lists/alpha.crt)"
expect_match 'its names' 'DNS:alpha,*10.0.0.1, DNS:b.example, IP Address:10.0.0.2' \
    "$(extensions lists/alpha.crt subjectAltName)"
expect_match 'both in the index' '*
alpha server 2077-01-01 valid*
alpha server 2078-01-01 valid' "$(listed lists)"
must "$mkpki" revoke lists "$old"
expect 'the new one is not on the list' '' "$(revoked lists | grep "$(serial lists/alpha.crt)")"
expect_match 'that is said' "*: serial $(serial lists/alpha.crt), of the same key, stays valid*" "$(cat said)"
must "$mkpki" renew lists at-once-2
expect 'a renewed client' 'lists/at-once-2.crt: OK ' "$(verdict lists/root.crt sslclient lists/at-once-2.crt)"

# A key that has leaked takes all its certificates with it, however often they were renewed.
must "$mkpki" client lists delta
first=$(serial lists/delta.crt)
must "$mkpki" renew lists delta
second=$(serial lists/delta.crt)
must "$mkpki" renew lists delta
must "$mkpki" revoke lists lists/delta.crt
for each in "$first" "$second" "$(serial lists/delta.crt)"; do
	expect 'a certificate of the key' "$each" "$(revoked lists | grep "$each")"
	expect_match 'it is said' "*: revoked delta (client, serial $each)*" "$(cat said)"
done
expect 'a certificate of another key' '' "$(revoked lists | grep "$(serial lists/at-once-2.crt)")"

# The index of an older mkpki has no keys: of what has the same name nobody knows.
must "$mkpki" client lists epsilon
first=$(serial lists/epsilon.crt)
sed -i 's|client/[0-9a-f]*|client|' lists/index || exit 1
must "$mkpki" renew lists epsilon
must "$mkpki" revoke lists lists/epsilon.crt
expect 'one that an older mkpki made' '' "$(revoked lists | grep "$first")"
expect_match 'that is said' \
    "*: serial $first, of the same name and perhaps the same key, stays valid: *revoke it, too*" "$(cat said)"
expect 'of one name only' 1 "$(grep -c 'stays valid' said)"

# A run that was ended between index and list is made good by the next one.
cp lists/root.crl before.crl
must "$mkpki" revoke lists "$(serial lists/at-once-3.crt)"
cp before.crl lists/root.crl
must "$mkpki" revoke lists "$(serial lists/at-once-3.crt)"
expect 'what the list lacked' "$(serial lists/at-once-3.crt)" "$(revoked lists | grep "$(serial lists/at-once-3.crt)")"

# A directory of an older mkpki: a root that may not sign lists, and no index.
old_openssl=$(sed 's/, cRLSign//' "$mkpki")
printf '%s\n' "$old_openssl" >oldpki && chmod 755 oldpki
must ./oldpki init older
must ./oldpki client older alpha
must ./oldpki server older beta
cp other/beta.crt older/foreign.crt && rm older/index || exit 1
before=$(snapshot older)
expect 'a list of a root that may sign none: status' 1 "$(status "$mkpki" revoke older older/alpha.crt)"
expect_match 'what to do' "*this root may not sign revocation lists: '*renew older root'*" "$(cat said)"
expect 'what that has changed' "$before" "$(snapshot older)"
key=$(cksum <older/root.key)
must "$mkpki" renew older root
expect "a renewed root's key" "$key" "$(cksum <older/root.key)"
expect "a renewed root's key usage" 'Certificate Sign, CRL Sign' "$(extensions older/root.crt keyUsage)"
expect 'a certificate of before' 'older/alpha.crt: OK ' "$(verdict older/root.crt sslclient older/alpha.crt)"
must "$mkpki" revoke older "$(serial older/beta.crt)"
expect 'its list' "$(serial older/beta.crt)" "$(revoked older)"
expect 'its index' 'alpha client valid
beta server revoked
memserver root root valid
memserver root root valid' "$(listed older | sed 's/ [0-9-]* \([rv][a-z]*\).*/ \1/' | sort)"

# What it advises can be pasted, whatever the directory is called.
# follow BEFORE AFTER: runs the command that stands between the two, in quotes, in what was said
follow()
{
	text=$(cat said)
	text=${text#*"$1"[\'\"]}
	text=${text%[\'\"]"$2"*}
	expect "the advice $text: status" 0 "$(PATH=$SRC/deploy:$PATH status sh -c "$text")"
}

for name in plain 'with blank' "it's" 'a "b"' '$HOME `x` \z' '*' '~' 'two
lines
'; do
	dir=advised/$name
	mkdir -p "$dir" || exit 1
	expect "no root in $dir" 1 "$(status "$mkpki" client "$dir" alpha)"
	follow 'a root is made with ' ''
	expect "the root in $dir" yes "$([ -f "$dir/root.key" ] && echo yes || ls -A advised)"
	: >"$dir/root.crl"
	expect "an empty list in $dir" 1 "$(status "$mkpki" list "$dir")"
	follow 'no such list: ' ' makes it anew'
	expect "the list in $dir" 0 "$(status openssl crl -in "$dir/root.crl" -noout)"
	expect "no such serial in $dir" 1 "$(status "$mkpki" revoke "$dir" 12)"
	follow 'or see ' ''
	chmod go+w "$dir" || exit 1
	expect "others may write in $dir" 1 "$(status "$mkpki" list "$dir")"
	follow 'another directory, or ' ''
	expect "the mode of $dir" 755 "$(mode "$dir")"
done
expect_match 'a plain name has quotes of one kind' "*made with 'mkpki init advised'" \
    "$("$mkpki" client advised alpha 2>&1)"

# --version, as installed and not.
expect_match '--version' "mkpki $(sed -n 's/^.define SMCLIENT_VERSION "\([0-9.]*\)".*/\1/p' \
    "$SRC/common/client/smclient.h")" "$("$mkpki" --version)"

# --help prints what the messages promise.
expect 'status of --help' 0 "$(status "$mkpki" --help)"
expect_match '--help' 'usage: mkpki *init DIR*server DIR NAME*client DIR NAME*renew DIR*revoke DIR*crl DIR*list DIR*' \
    "$(cat said)"

finish
