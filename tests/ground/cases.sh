# cases.sh: the product's programs in a library OS, as tests, for the scripts that source it:
# test_ground.sh, where a filter and a preloaded library give its answers, and gramine/run, which has
# Gramine. Servers and clients meet over TCP, inside, outside and mixed.
#
# The script sources system/lib.sh first, and defines these two:
#
#   go HOW PROGRAM ARGUMENT...   executes (exec) a program of $BUILD; HOW is plain, flock (with flock(2),
#                                which no other instance sees), shm ($work/memdir is untrusted_shm) or
#                                outside
#   signal_server SIGNAL         sends it to $pid, and all processes behind it
#
# Paths are the same inside and outside. Inside Gramine there is one stream for both outputs.

# shellcheck shell=sh disable=SC2034 # the scripts read them
counters=
shown=$work/pki/server
mkdir memdir conf
{ "$mkpki" init pki && "$mkpki" server pki server && "$mkpki" server pki other &&
    "$mkpki" client pki client; } >/dev/null || exit 1

# run_tests NAME...: runs these functions
run_tests()
{
	for test; do
		before=$failures
		$test
		[ "$failures" = "$before" ] && echo "ok $test" || echo "FAILED $test"
	done
}

# serve PROGRAM ARGUMENT...: starts a server $where (plain) at $port, which is $at or a free one
serve()
{
	program=$1
	shift
	port=${at:-$("$helper" port)}
	: >log
	(go "${where:-plain}" "$program" -Z "$work/pki/root.crt" "$shown.crt" "$shown.key" "$@" \
	    "tcp:127.0.0.1:$port") >>log 2>&1 &
	pid=$!
	remember "$pid"
	await "$program starts" has log "listening on tcp:127.0.0.1:$port"
}

# mounts URI TYPE: writes the mount file conf/mounts, for /m
mounts()
{
	printf 'MOUNT %s /m %s name=server\nCAFILE %s/root.crt\nCERTFILE %s/client.crt\nKEYFILE %s/client.key\n' \
	    "$1" "$2" "$work/pki" "$work/pki" "$work/pki" >conf/mounts
}

serve_smdish()
{
	serve smdishserver
	mounts "tcp:127.0.0.1:$port" smdish
}

# follow_smuf: starts a server on memdir as it is
follow_smuf()
{
	serve smufserver -r "$work/memdir"
	mounts "tcp:127.0.0.1:$port,file:$work/memdir" smuf
}

serve_smuf()
{
	empty_memdir
	follow_smuf
}

empty_memdir()
{
	find memdir -mindepth 1 -delete
}

# count HOW ARGUMENT...: runs a counter to its end
count()
{
	how=$1
	shift
	(go "$how" counter "$@") 2>&1
}

# count_in HOW NAME ARGUMENT...: a counter in the background, its output in the file NAME
count_in()
{
	how=$1
	out=$2
	shift 2
	count "$how" "$@" >"$out" &
	counters="$counters $!"
}

# counted WHAT TOTAL NAME...: all counters have ended with that total
counted()
{
	what=$1
	total=$2
	shift 2
	for each in $counters; do
		wait "$each"
	done
	counters=
	for each; do
		expect "$what: the counter $each" "$total" "$(cat "$each")"
	done
}

# two_and_two HOW: four processes inside, two outside
two_and_two()
{
	count_in "$1" a "$work/conf/mounts" /m/f 20000 200 1200 2
	count_in "$1" b "$work/conf/mounts" /m/f 20000 200 1200 2
	count_in outside c "$work/conf/mounts" /m/f 20000 200 1200 2
	counted 'inside and outside' 1200 a b c
}

smdish_starts_serves_and_stops()
{
	serve_smdish
	expect 'a counter outside' 5 "$(count outside "$work/conf/mounts" /m/f 8 5 5)"
	end 'smdishserver inside'
	expect_match 'its log' '*Terminated: stopping*' "$(cat log)"
}

smdish_counts()
{
	serve_smdish
	two_and_two plain
	end 'smdishserver inside'
}

smuf_counts()
{
	serve_smuf
	two_and_two plain
	end 'smufserver inside'
	expect 'files left' '' "$(ls -A memdir)"
}

smuf_counts_through_mappings()
{
	serve_smuf
	two_and_two shm
	end 'smufserver inside'
}

larger_in_the_next_life()
{
	serve_smuf
	expect 'three lives' 7 "$(count shm "$work/conf/mounts" /m/f 20000 7 7 1 3)"
	end 'smufserver inside'
}

# smc has no server: processes without kernel locks share files with others when all mounts say so.
# mount_smc: writes conf/mounts so, conf/kernel with locks=kernel, and conf/any without locks=
mount_smc()
{
	empty_memdir
	head -c 32 /dev/urandom >conf/key
	chmod 600 conf/key
	for each in locks=none,mounts locks=kernel,kernel sync=delta,any; do
		echo "MOUNT file:$work/memdir /m smc key=$work/conf/key,${each%,*}" >"conf/${each#*,}"
	done
}

smc_counts()
{
	mount_smc
	two_and_two shm
	expect 'files left' '' "$(ls -A memdir)"
}

# forks COUNT [HOW]: children, one after the other, beside a process outside
forks()
{
	count_in "${2:-plain}" a -f "$1" "$work/conf/mounts" /m/f 20000 10 $(($1 + 20))
	count_in outside b "$work/conf/mounts" /m/f 20000 10 $(($1 + 20))
	counted "$1 forks" $(($1 + 20)) a b
}

forks_of_smdish()
{
	serve_smdish
	forks "${fork_count:-20}"
	end 'smdishserver inside'
}

forks_of_smuf()
{
	serve_smuf
	forks "${fork_count:-20}"
	end 'smufserver inside'
}

forks_of_smc()
{
	mount_smc
	forks "${fork_count:-20}" shm
	expect 'files left' '' "$(ls -A memdir)"
}

# hold HOW [CONF]: starts a process that takes the lock: $pid
hold()
{
	: >held
	(go "$1" counter -h "$work/conf/${2:-mounts}" /m/f 20000 0 0) >held 2>&1 &
	pid=$!
	remember "$pid"
	await 'it holds the lock' has held held
}

# kill_holder: kills $pid
kill_holder()
{
	signal_server KILL
	wait $pid 2>/dev/null
}

# a_holder_dies: another process has the lock then
a_holder_dies()
{
	server_pid=$pid
	hold plain
	count_in outside a "$work/conf/mounts" /m/f 20000 5 10
	count_in plain b "$work/conf/mounts" /m/f 20000 5 10
	kill_holder
	counted 'a dead holder' 10 a b
	pid=$server_pid
}

a_dead_holder_of_smdish()
{
	serve_smdish
	a_holder_dies
	end 'smdishserver inside'
}

a_dead_holder_of_smuf()
{
	serve_smuf
	a_holder_dies
	end 'smufserver inside'
}

# waits_in_vain WHAT HOW: a process does not get the lock, and hears what an operator can do
waits_in_vain()
{
	expect_match "$1: a process $2" "*: Connection timed out: *if it died*remove $work/memdir/f and $work/memdir/f.segment*" \
	    "$(count "$2" -w 300 "$work/conf/mounts" /m/f 20000 1 1)"
}

# Without kernel locks nobody can see that a process is dead.
a_dead_holder_of_smc_keeps_the_lock()
{
	for how in shm outside; do
		mount_smc
		hold $how
		waits_in_vain "a holder $how" shm
		kill_holder
		waits_in_vain "a dead holder $how" shm
		waits_in_vain "a dead holder $how" outside
		empty_memdir
		two_and_two shm
		expect 'files left' '' "$(ls -A memdir)"
	done
}

# refused WHAT HOW CONF PATTERN: a process cannot open the file
refused()
{
	expect_match "$1: a process $2" "*$4*" "$(count "$2" "$work/conf/$3" /m/f 20000 1 1)"
}

# With kernel locks the dead are seen by all who have such locks; others do not get in.
a_dead_holder_of_smc_with_kernel_locks_loses_it()
{
	mount_smc
	hold outside kernel
	count_in outside a "$work/conf/kernel" /m/f 20000 5 11
	count_in outside b "$work/conf/any" /m/f 20000 5 11
	refused 'held' shm mounts 'created with locks=kernel, and this mount says locks=none'
	refused 'held' shm any 'needs kernel locks'
	kill_holder
	refused 'after a death' shm mounts 'created with locks=kernel, and this mount says locks=none'
	count_in outside c "$work/conf/kernel" /m/f 20000 1 11
	counted 'a dead holder' 11 a b c
	expect 'files left' '' "$(ls -A memdir)"
}

files_without_kernel_locks_let_in_who_says_so()
{
	mount_smc
	count_in shm a "$work/conf/mounts" /m/f 20000 5 10
	await 'it has created the files' test -e memdir/f.segment
	refused 'without' outside kernel 'created with locks=none, and this mount says locks=kernel'
	refused 'without' shm kernel 'created with locks=none, and this mount says locks=kernel'
	count_in outside b "$work/conf/any" /m/f 20000 5 10
	counted 'the others' 10 a b
	expect 'files left' '' "$(ls -A memdir)"
}

# A process has died after it had created the file, and before that had a size.
an_empty_lock_file_is_begun()
{
	for how in shm outside; do
		mount_smc
		: >memdir/f
		expect "an empty file, $how" 5 "$(count $how "$work/conf/mounts" /m/f 20000 5 5)"
		expect 'files left' '' "$(ls -A memdir)"
	done
}

# contend HOW: a second server starts so on memdir; its exit status in status
contend()
{
	(go "$1" smufserver -r "$work/memdir" -Z "$work/pki/root.crt" "$shown.crt" "$shown.key" \
	    "tcp:127.0.0.1:$("$helper" port)") >out 2>&1
	status=$?
}

a_second_smufserver_stays_out()
{
	serve_smuf
	count_in plain a "$work/conf/mounts" /m/f 20000 1 2
	await 'the first client has its file' test -e memdir/f.segment
	for how in plain flock outside; do
		contend $how
		expect "a second server, $how: exit status" 1 "$status"
		expect_match "a second server, $how" '*another smufserver uses this directory*' "$(cat out)"
	done
	count_in outside b "$work/conf/mounts" /m/f 20000 1 2
	counted 'the first server goes on' 2 a b
	end 'the first server'
}

a_dead_smufserver_is_followed()
{
	serve_smuf
	count_in plain a "$work/conf/mounts" /m/f 20000 1 2
	await 'the client has its file' test -e memdir/f.segment
	signal_server KILL
	wait $pid 2>/dev/null
	# shellcheck disable=SC2086 # several
	wait $counters
	counters=
	follow_smuf
	expect 'what it left' .smufserver.lock "$(ls -A memdir)"
	end 'the next server'
}

a_replaced_smufserver_stops()
{
	serve_smuf
	signal_server STOP
	first=$pid
	follow_smuf
	second=$pid
	count_in outside a "$work/conf/mounts" /m/f 20000 1 2
	await 'the second server has a file' test -e memdir/f.segment
	pid=$first
	signal_server CONT
	wait "$first"
	expect 'the first server: exit status' 1 $?
	pid=$second
	count_in plain b "$work/conf/mounts" /m/f 20000 1 2
	counted 'the second server goes on' 2 a b
	end 'the second server'
}

smufserver_refuses_untrusted_shm()
{
	empty_memdir
	contend shm
	expect 'exit status' 1 "$status"
	expect_match 'it says what to do' '*mount the directory as chroot*' "$(cat out)"
	expect 'files left' '' "$(ls -A memdir)"
}

no_pid_file()
{
	(go plain smdishserver -p "$work/conf/pid" -Z "$work/pki/root.crt" "$shown.crt" "$shown.key" \
	    tcp:127.0.0.1:1) >out 2>&1
	expect 'exit status' 1 $?
	expect_match 'it says what to do' '*cannot lock the pid file: *leave -p out*' "$(cat out)"
	expect 'a pid file' no "$([ -e conf/pid ] && echo yes || echo no)"
}

a_unix_socket_is_unheard_of()
{
	serve smdishserver "$work/conf/socket"
	expect_match 'a warning' "*warning: $work/conf/socket has not appeared*" "$(cat log)"
	end 'smdishserver inside'
}

certificates_are_loaded_again()
{
	cp pki/server.crt conf/shown.crt
	cp pki/server.key conf/shown.key
	shown=$work/conf/shown
	serve_smdish
	shown=$work/pki/server
	cp pki/other.key conf/shown.key
	cp pki/other.crt conf/shown.crt
	patience=$((patience + 20)) await 'it has seen the change' has log \
	    'files of -Z have changed: certificates reloaded'
	sed 's/name=server/name=other/' conf/mounts >conf/other
	expect 'a client finds the new name' 1 "$(count plain "$work/conf/other" /m/f 8 1 1)"
	end 'smdishserver inside'
}

smbench_measures()
{
	serve_smdish
	(go plain smbench -f "$work/conf/mounts" -p 2 /m/b /m/b 1K 200) >out 2>&1
	expect 'exit status' 0 $?
	expect_match 'the count' 'critical sections: 400, *' "$(cat out)"
	expect_match 'a time that passed' 'median: *[1-9]*' "$(grep '^median' out)"
	end 'smdishserver inside'
}

smbench_names_its_changes()
{
	serve_smuf
	sed 's/name=server/&,track=hint/' conf/mounts >conf/hints
	count_in outside a "$work/conf/hints" /m/b 1024 0 200
	await 'another client has the file' test -e memdir/b.segment
	(go plain smbench -H -f "$work/conf/hints" /m/b /m/b 1K 200) >out 2>&1
	expect 'exit status' 0 $?
	await 'its changes are published' has a '^200$' || kill $counters
	counted 'the other client' 200 a
	end 'smufserver inside'
}

smbench_says_what_it_cannot_measure()
{
	(go plain smbench) >out 2>&1
	expect 'exit status' 1 $?
	expect_match 'the reason and no figures' 'smbench: this cannot be measured: *' "$(cat out)"
}

the_probe_tells()
{
	empty_memdir
	(go shm smbench --probe "$work/conf" "$work/memdir") >out 2>&1
	expect '--probe: exit status' 0 $?
	for each in 'statx(2)' 'userfaultfd(2)' 'signalfd(2)' 'prctl(2)' 'shared memory of forks'; do
		expect_match "--probe: $each" "*  $each *no *" "$(sed '/^files/,$d' out)"
	done
	expect '--probe: pread, chroot and untrusted_shm' 'yes no' \
	    "$(sed -n 's/  pread(2), pwrite(2) *\([a-z]*\).*/\1/p' out | xargs)"
	expect '--probe: mappings, chroot and untrusted_shm' 'no yes' \
	    "$(sed -n 's/  shared mappings *\([a-z]*\).*/\1/p' out | xargs)"
	expect '--probe: sizes, chroot and untrusted_shm' 'no no' \
	    "$(sed -n 's/  sizes that others change *\([a-z]*\).*/\1/p' out | xargs)"
	expect 'files left' '' "$(ls -A memdir)"
}

# run_all: all tests above
run_all()
{
	run_tests smdish_starts_serves_and_stops smdish_counts smuf_counts smuf_counts_through_mappings \
	    larger_in_the_next_life smc_counts forks_of_smdish forks_of_smuf forks_of_smc \
	    a_dead_holder_of_smdish a_dead_holder_of_smuf a_dead_holder_of_smc_keeps_the_lock \
	    a_dead_holder_of_smc_with_kernel_locks_loses_it files_without_kernel_locks_let_in_who_says_so \
	    an_empty_lock_file_is_begun a_second_smufserver_stays_out a_dead_smufserver_is_followed \
	    a_replaced_smufserver_stops smufserver_refuses_untrusted_shm no_pid_file \
	    a_unix_socket_is_unheard_of certificates_are_loaded_again smbench_measures \
	    smbench_names_its_changes smbench_says_what_it_cannot_measure the_probe_tells
}
