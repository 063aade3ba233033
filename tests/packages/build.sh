# The packages, as README.md says, with Debian's flags.

# shellcheck shell=sh
apt-get update
sh -ec "$(sed -n 's/^    \(.* && make deb\)$/\1/p' README.md)"

# The build took Debian's flags: what the linker was told is in the programs.
for file in build/deb/memserver-*/debian/memserver/usr/bin/*; do
	readelf -d "$file" | grep BIND_NOW
done
mkdir /debs
cp build/deb/*.deb /debs
