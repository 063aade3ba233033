# The packages, as README.md says, with Debian's flags.

# shellcheck shell=sh
apt-get update
sh -ec "$(sed -n 's/^    \(.* && make deb\)$/\1/p' README.md)" >/tmp/log 2>&1 || {
	cat /tmp/log
	exit 1
}
cat /tmp/log

# This compiler warns of nothing, at link time neither.
if grep '\.[ch]:[0-9:]* warning: ' /tmp/log; then
	exit 1
fi

# The build took Debian's flags: what the linker was told is in the programs.
for file in build/deb/memserver-*/debian/memserver/usr/bin/*; do
	readelf -d "$file" | grep BIND_NOW
done
mkdir /debs
cp build/deb/*.deb /debs
