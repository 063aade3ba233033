# tenants.sh: four tenants that share a machine and one origin, as deploy/nginx/serve -n 4 runs them; for
# tests/nginx/run, which sources it.
#
# Each serves the right bodies. The memory of one refuses the keys of another. A memory server that is killed takes
# nobody else's service with it, and serve ends as ever. No process of one tenant opens, asks for or connects to
# anything in the directory of another, from its start on: strace(1) sees all of it.

# shellcheck shell=sh disable=SC2154 # work, origin, count and patience are those of run
tenants='0 1 2 3'

# four_ports: the first of four that are free
four_ports()
{
	python3 - <<'END_OF_PYTHON'
import random, socket
while True:
    first = random.randrange(20000, 30000)
    try:
        for port in range(first, first + 4):
            socket.socket().bind(("127.0.0.1", port))
    except OSError:
        continue
    print(first)
    break
END_OF_PYTHON
}

# tenant_fetch TENANT COUNT: what client.py says; in a shell of its own
tenant_fetch()
{
	# shellcheck disable=SC2034 # client reads them
	port=$((first + $1)) site=$top/$1
	client fetch "$origin/files" "$2" 4
}

# tenant_processes TENANT: of its nginx and its memory server
tenant_processes()
{
	cat "$top/$1/process"
	pgrep -P "$(cat "$top/$1/process")"
	[ ! -e "$top/$1/memory.pid" ] || cat "$top/$1/memory.pid"
}

# tenant_errors TENANT: how many lines of its nginx, of the library and of its server say that something is wrong
tenant_errors()
{
	cat "$top/$1/library.log" "$top/$1/error.log" "$top/$1"/memory.lo[g] 2>/dev/null |
	    grep -cE '^libsm|\[(error|crit|alert|emerg)\]|warning:|error:'
}

# use TENANT KEYS_OF: maps a file of one tenant's memory with the keys of a tenant, as any program would
use()
{
	sed "s|$top/$1/pki/nginx|$top/$2/pki/nginx|; s|key=$top/$1/|key=$top/$2/|" "$top/$1/mounts" >"$work/mixed"
	SM_LOG=$work/mixed.log "$BUILD/smrun" "$work/mixed" python3 -c '
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
mmap.mmap(file, os.fstat(file).st_size or 4096).close()' "$(zones_of "$1")" >"$work/mixed.out" 2>&1
}

# zones_of TENANT: the file of its zones; a server refuses whatever the name is
zones_of()
{
	zone=$(find "$top/$1/memory" -name '*.segment' | head -n 1)
	zone=$(basename "${zone:-any}" .segment)
	echo "/sm/$zone"
}

# refuse_keys: each memory takes the keys of its tenant, and of no other
refuse_keys()
{
	for owner in $tenants; do
		stranger=$(((owner + 1) % 4))
		use "$owner" "$owner"
		expect "$about: tenant $owner's memory takes its own keys: $(cat "$work/mixed.out")" 0 $?
		: >"$work/mixed.log"
		use "$owner" "$stranger"
		[ $? -eq 1 ]
		expect "$about: tenant $owner's memory refuses the keys of $stranger" 0 $?
		expect_match "$about: why it does" "*$refusal*" "$(cat "$work/mixed.log" "$work/mixed.out")"
		[ "$kind" = smc ] || has "$top/$owner/memory.log" "refused in the TLS handshake: the peer's certificate is refused"
		expect "$about: the server's log has the refusal" 0 $?
	done
}

# kill_one TENANT: the others serve as before, and have nothing to complain about
kill_one()
{
	others=$(echo "$tenants" | tr -d "$1")
	for each in $others; do
		tenant_errors "$each" >"$work/errors.$each"
	done
	kill -KILL "$(cat "$top/$1/memory.pid")"
	expect_match "$about: tenant $1 without its memory server" '0 right, 0 wrong, [1-9]* failed' \
	    "$(TIMEOUT=1 tenant_fetch "$1" 4)"
	for each in $others; do
		expect "$about: tenant $each, after $1 lost its server" '120 right, 0 wrong, 0 failed' \
		    "$(tenant_fetch "$each" 120)"
		expect "$about: lines of errors of tenant $each" "$(cat "$work/errors.$each")" "$(tenant_errors "$each")"
	done
}

# keep_apart: in whose directories is what the processes of each tenant asked the system for
keep_apart()
{
	for each in $tenants; do
		mine=$(tr '\n' '|' <"$work/processes.$each")
		expect "$about: the directories that tenant $each uses" "$top/$each" \
		    "$(grep -E "^(${mine%|}) " "$work/trace" | grep -oE "$top/[0-9]+" | sort -u)"
	done
}

# tenants KIND
tenants()
{
	kind=$1
	about="$kind, four tenants"
	first=$(four_ports)
	case $kind in
	smc) refusal='the master key of key= is not the one' ;;
	*) refusal='the peer refuses our certificate' ;;
	esac
	# -D: the process is that of serve, which ends as it does without strace.
	tracer="strace -D -f -y -s 512 --seccomp-bpf -e trace=%file,connect -o $work/trace"
	strace -f --seccomp-bpf -o /dev/null true 2>/dev/null || tracer=
	# shellcheck disable=SC2086 # words
	TMPDIR=$work $tracer "$SRC/deploy/nginx/serve" -n 4 -p "$first" "$kind" >"$work/serve" 2>&1 &
	serving=$!
	await "$about: all of them run" has "$work/serve" "localhost:$((first + 3))/"
	top=$(sed -n 's|.* \(/.*\)/0$|\1|p' "$work/serve")
	cp "$origin"/files/* "$top/origin/files/"
	for each in $tenants; do
		tenant_processes "$each" >"$work/processes.$each"
		expect "$about: bodies of tenant $each" '240 right, 0 wrong, 0 failed' "$(tenant_fetch "$each" 240)"
	done
	refuse_keys
	[ "$kind" = smc ] || kill_one 1
	kill -TERM $serving
	wait $serving
	status=$?
	serving=
	expect "$about: exit status" 0 $status
	[ ! -e "$top" ]
	expect "$about: nothing is left" 0 $?
	if [ -n "$tracer" ]; then
		keep_apart
	else
		echo 'skipped: there is no strace to see what the processes of a tenant open'
	fi
	echo "$about: done"
}
