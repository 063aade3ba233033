# The life of the packages in /debs: install an older version, start, upgrade while a client holds a memory file, remove,
# purge.

# shellcheck shell=sh disable=SC2046,SC2086 # words
apt-get update
before=$(find /etc /usr /var/lib -path /var/lib/dpkg -prune -o -path /var/lib/apt -prune -o ! -type d -print | sort)

# older DEB: the same, of a version before
older()
{
	rm -rf /tmp/older
	dpkg-deb -R "$1" /tmp/older
	version=$(dpkg-deb -f "$1" Version)
	sed -i "s/$version/$version~before/" /tmp/older/DEBIAN/control
	dpkg-deb --root-owner-group -b /tmp/older "/tmp/$(basename "$1")"
}
for deb in /debs/*.deb; do
	case $deb in *-dbgsym_*) continue ;; esac
	older "$deb"
done

# servers: the processes of the daemons, also when their files have been replaced
servers()
{
	for each in /proc/[0-9]*; do
		case $(readlink "$each/exe") in
		*/smdishserver* | */smufserver*) echo "${each#/proc/}" ;;
		esac
	done
}

# Install: users, directories, nothing that runs.
apt-get install -y /tmp/*.deb
getent passwd smdish smuf
[ "$(stat -c %U /run/smdish)" = smdish ]
[ -d /etc/smdish ]
[ -d /etc/smuf ]
[ -d /var/lib/smuf ]
[ -z "$(servers)" ]

# First start, with the commands of the units: comments from "cd" on, but for systemctl.
commands()
{
	sed -n 's/^#	\(.*\)$/\1/p' "$1" | grep -v systemctl
}
units=$(dirname "$(dpkg -L memserver | grep smdishserver.service)")
commands "$units/smdishserver.service" >/tmp/dish
commands "$units/smufserver@.service" >/tmp/uf
sh -eux /tmp/dish
groupadd web
sh -eux /tmp/uf
exec_start()
{
	sed -n 's/^ExecStart=//p' "$1" | sed 's/%i/web/g'
}
install -d -o smuf -g web -m 0750 /var/lib/smuf/web
(cd / && setpriv --reuid smdish --regid smdish --clear-groups $(exec_start "$units/smdishserver.service") --operators app -d -p /run/smdish/pid /run/smdish/smdish.sock)
(cd / && setpriv --reuid smuf --regid web --clear-groups $(exec_start "$units/smufserver@.service") -d -p /run/smuf/pid /run/smuf/web.sock)

# A client of each, and one that looks.
mkdir /tmp/client
cd /tmp/client || exit 1
for each in smdish web; do
	mkdir $each
	cp /root/pki.$each/root.crt /root/pki.$each/app.crt /root/pki.$each/app.key $each
	printf '%s\n' "CAFILE $each/root.crt" "CERTFILE $each/app.crt" "KEYFILE $each/app.key" >$each.conf
done
cp smdish.conf app.conf
echo "MOUNT unix:/run/smdish/smdish.sock /dish smdish" >>app.conf
echo "MOUNT unix:/run/smuf/web.sock,file:/var/lib/smuf/web /uf smuf" >>web.conf
smbench -f app.conf /dish/a /dish/a 1K 100
smbench -f web.conf /uf/a /uf/a 1K 100
smstat -Z smdish/root.crt smdish/app.crt smdish/app.key /run/smdish/smdish.sock
smbench

# The examples: the one in C compiles and stays, those in C++ and Python count on, each in critical sections of its own.
apt-get install -y --no-install-recommends g++ libc6-dev pkgconf
examples=/usr/share/doc/libsmclient-dev/examples
(cd / && python3 -c 'import smclient; print(smclient.__file__)') | grep '^/usr/lib/python3/dist-packages/'
cc "$examples/counter.c" $(pkg-config --cflags --libs smclient) -o counter-c
c++ "$examples/counter.cc" $(pkg-config --cflags --libs smclient) -o counter-cc
sed 's|/dish|/shared|' app.conf >counter.conf
mkfifo hold
./counter-c counter.conf 10 <hold >counted &
first=$!
exec 7>hold
until [ -s counted ]; do sleep 0.1; done
./counter-cc counter.conf 20 </dev/null 7>&- >>counted
python3 "$examples/counter.py" counter.conf 30 </dev/null 7>&- >>counted
[ "$(tr '\n' ' ' <counted)" = '10 30 60 ' ]
exec 7>&-
wait "$first"

echo 'import fcntl,mmap,os,struct,sys
fd = os.open("/dish/kept", os.O_RDWR | os.O_CREAT, 0o660)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
for line in sys.stdin:
    fcntl.lockf(fd, fcntl.LOCK_EX)
    (n,) = struct.unpack_from("Q", memory)
    struct.pack_into("Q", memory, 0, n + 1)
    fcntl.lockf(fd, fcntl.LOCK_UN)
    print(n + 1, flush=True)' >keep.py
mkfifo in
smrun app.conf python3 keep.py <in >out &
client=$!
exec 8>in
echo >&8
until [ "$(tail -n 1 out)" = 1 ]; do sleep 0.1; done

# Upgrade: the servers, and what is in their memory, go on.
pids=$(servers)
[ "$(echo "$pids" | wc -l)" -eq 2 ]
apt-get install -y /debs/*.deb
[ "$(dpkg-query -W -f '${Version}' memserver)" = "$(dpkg-deb -f /debs/memserver_*.deb Version)" ]
[ "$(servers)" = "$pids" ]
echo >&8
until [ "$(tail -n 1 out)" = 2 ]; do sleep 0.1; done
exec 8>&-
wait "$client"

# Remove: programs go, certificates stay. No systemd stops the servers here.
kill $pids
cd /
ours="memserver* libsmclient* python3-smclient smpreload"
packages=$(set -f && dpkg-query -W -f '${Package}\n' $ours | sort -u)
apt-get remove -y $packages
command -v smdishserver && exit 1
python3 -c 'import smclient' && exit 1
[ -e /etc/smdish/server.key ]
[ -e /etc/smuf/web/server.key ]

# Purge: the administrator's files stay, everything else goes.
dpkg --purge $(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^rc //p')
[ -e /etc/smdish/server.key ]
[ ! -e /var/lib/smuf ]
rm -r /etc/smdish /etc/smuf
groupdel web
after=$(find /etc /usr /var/lib -path /var/lib/dpkg -prune -o -path /var/lib/apt -prune -o ! -type d -print | sort)
left=$(printf '%s\n%s\n' "$before" "$after" | sort | uniq -u | grep -i 'smdish\|smuf\|smclient\|memserver\|smpreload') || true
[ -z "$left" ]
[ -z "$(set -f && dpkg-query -W -f '${Package}\n' $ours)" ]
