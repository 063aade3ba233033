# package.sh: packages of deploy/gramine/README.md for gramine/run, which sources it after lib.sh: directories in
# which makemanifest, gramine-manifest and Gramine run. The server's configuration file in one.

# shellcheck shell=sh disable=SC2154 # lib.sh and the script set them
package=$work/package

# has_encryption: Gramine's tool for encrypted files is here; or a line that it is not
has_encryption()
{
	command -v gramine-sgx-pf-crypt >/dev/null && return 0
	echo "skipped: there is no gramine-sgx-pf-crypt: $*"
	return 1
}

# begin_package PATH...: an empty package with these programs and libraries
begin_package()
{
	rm -rf "$package"
	mkdir -p "$package/bin" "$package/keys" "$package/pki"
	cp "$@" "$package/bin"
	cp pki/root.crt "$package/pki"
}

# give_pair FROM TO: a certificate and its key under the name that the premanifest has; the key is encrypted later
give_pair()
{
	cp "pki/$1.crt" "$package/pki/$2.crt"
	cp "pki/$1.key" "$package/keys/$2.key"
}

# end_package PROGRAM ARGUMENT...: its manifest, for a trial, of makemanifest's arguments; the keys are encrypted
end_package()
{
	(
		cd "$package" && name=$1 && shift || exit 1
		"$BUILD/makemanifest" --trial -o "$name.manifest.template" "$@" || exit 1
		sed -n 's/^fs.insecure__keys.default = "\(.*\)"$/\1/p' "$name.manifest.template" |
		    python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(input()))' >wrap.key
		for each in keys/*; do
			mv "$each" plain && gramine-sgx-pf-crypt encrypt -w wrap.key -i plain -o "$each" || exit 1
		done
		rm plain
		gramine-manifest "$name.manifest.template" "$name.manifest"
	) >packaged 2>&1
	expect "the package of $1: exit status" 0 $? || cat packaged
}

# in_package PROGRAM: executes it
in_package()
{
	cd "$package" && exec timeout -k 5 600 gramine-direct "$1"
}

# A trusted file: with a word that the host has added the server does not start.
a_server_has_its_options_in_a_file()
{
	begin_package "$BUILD/smdishserver"
	give_pair server smdish
	port=$("$helper" port)
	{ cat "$SRC/deploy/gramine/smdishserver.conf" && echo 'CONFFILE options.conf'; } >"$package/smdishserver.conf"
	printf '%s\n' 'tls pki/root.crt pki/smdish.crt keys/smdish.key' "address tcp:127.0.0.1:$port" \
	    'operators client' >"$package/options.conf"
	end_package smdishserver smdishserver.conf -f /options.conf
	: >log
	(in_package smdishserver) >>log 2>&1 &
	pid=$!
	remember "$pid"
	await 'it starts' has log "listening on tcp:127.0.0.1:$port (TLS, client certificates required)"
	mounts "tcp:127.0.0.1:$port" smdish
	expect 'a counter outside' 5 "$(count outside "$work/conf/mounts" /m/f 8 5 5)"
	expect 'a counter inside' 5 "$(count plain "$work/conf/mounts" /m/g 8 5 5)"
	"$BUILD/smstat" -j -i 0 "$work/conf/mounts" >stat 2>&1
	expect 'its operator may ask' 0 $?
	end 'smdishserver inside'
	echo anonymous >>"$package/options.conf"
	(in_package smdishserver) >out 2>&1
	expect 'a changed file: exit status' 1 $?
	expect_match 'a changed file' '*options.conf*' "$(cat out)"
}
