#!/bin/sh
# The command line of smdishserver: help, version, and each error, which prints one clear line and
# exits with status 2 before the server listens.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

# wrong PATTERN ARGUMENT...: an error of the command line; the first line matches
wrong()
{
	pattern=$1
	shift
	run "$@"
	expect "smdishserver $*: exit status" 2 "$status"
	expect "smdishserver $*: standard output" '' "$out"
	# shellcheck disable=SC2254
	expect_match "smdishserver $*" "*smdishserver: $pattern" "$(head -n 1 err)"
	expect "smdishserver $*: lines that are no usage" 1 "$(grep -vc '^usage: \|^       ' err)"
	expect "smdishserver $*: sockets left" '' "$(find . -type s)"
}

for option in --help -h; do
	run $option
	expect "$option: exit status" 0 "$status"
	expect "$option: standard error" '' "$err"
	expect_match "$option" 'usage: smdishserver [[]*ADDRESS ...*' "$out"
	for letter in B C M Z a b c d f g h l m n p s t v; do
		expect_match "$option tells -$letter" "*
-$letter*" "$out"
	done
	expect_match "$option tells --version" '*--version*' "$out"
	expect_match "$option tells --operators" '*--operators NAME*' "$out"
done
run --version
expect '--version: exit status' 0 "$status"
expect_match --version 'smdishserver [0-9]*.[0-9]*' "$out"
expect '--version: lines' 1 "$(wc -l <out)"
# --help prints the help whatever else is there, and does nothing else.
run --help ./sock
expect '--help with an address: exit status' 0 "$status"
expect '--help with an address: sockets' '' "$(find . -type s)"

wrong "*option*'x'" -x ./sock
wrong "*option*'--bogus'" --bogus ./sock
for letter in b C c f g l M m p s t Z; do
	wrong "*option*'$letter'" -$letter
done
for value in 0 -1 abc 1x '' 1000001 99999999999999999999; do
	wrong '-c*' -c "$value" ./sock
done
for value in -1 x 1000001; do
	wrong '-b*' -b "$value" ./sock
done
for value in 0 x 1T 4095 99999999999G; do
	wrong '-m*' -m "$value" ./sock
done
for value in 0 x 3G 2147483649 1.5M; do
	wrong '-s*' -s "$value" ./sock
done
for value in 0 x -5 86400001; do
	wrong '-t*' -t "$value" ./sock
done
wrong '-Z*three*' -Z a
wrong '-Z*three*' -Z a b
wrong '-n*-Z*' -n ./sock
wrong '-C needs -Z*' -C list ./sock
# Files need not exist for an error of the command line.
wrong '*option*operators*' --operators
wrong '--operators needs -Z*' --operators a ./sock
wrong '--operators and -n*' --operators a -n -Z ca cert key ./sock
wrong '--operators is there twice*' --operators a --operators b -Z ca cert key ./sock
wrong '--operators is there twice*' -f none.conf --operators a --operators b ./sock
for names in '' , a, ,a a,,b; do
	wrong "--operators $names: an empty name*" --operators "$names" -Z ca cert key ./sock
done
wrong 'localhost:9001*' localhost:9001
wrong 'unix:*' unix:
wrong 'abstract:*' abstract:
wrong 'pipe:*' pipe:x
wrong 'tcp:*' tcp:
wrong 'tcp:localhost*' tcp:localhost
wrong 'tcp:localhost:*' tcp:localhost:99999
wrong 'tcp:localhost:*' tcp:localhost:http
wrong 'tcp:[[]::1*' 'tcp:[::1'
long=./$(printf '%0200d' 0)
wrong "$long*too long*" "$long"
wrong 'more than*addresses*' ./1 ./2 ./3 ./4 ./5 ./6 ./7 ./8 ./9 ./10 ./11 ./12 ./13 ./14 ./15 ./16 ./17

# Plaintext over TCP is refused: alone, in the other spelling, and beside a valid address.
port=$("$helper" port)
for address in "tcp:127.0.0.1:$port" "tcp://127.0.0.1:$port" "tcp:[::1]:$port" "tcp:*:$port"; do
	wrong "*plaintext over TCP is refused*-Z*" "$address"
	wrong "*plaintext over TCP is refused*-Z*" ./sock "$address"
done

wrong 'no address*'
wrong 'no address*' -v

finish
