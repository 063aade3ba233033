# What README.md tells a newcomer, as it is written there: the demo, the tests, make install, the example.

# shellcheck shell=sh
sh -ec "$(sed -n 's/^    \(.*make -j2 demo\)$/\1/p' README.md)"
if [ "$T" != none ]; then
	command=$(sed -n 's/^    \(.*make -j2 check\)$/\1/p' README.md)
	sh -ec "$command${T:+ T='$T'}"
fi
sh -ec "$(sed -n 's/^    \(make install\)$/\1/p' README.md)"
hash -r
smdishserver --version
smbench --help >/dev/null
apt-get install -y systemd
systemd-sysusers
systemd-tmpfiles --create memserver.conf
systemd-analyze verify --man=no smdishserver.service smufserver@root.service
mkdir /tmp/readme
SRC=$PWD INSTALLED=yes TMPDIR=/tmp/readme sh tests/system/test_readme.sh
make uninstall
[ -z "$(find /usr/local -type f -o -name 'libsm*')" ]
