# The packages' own tests.

# shellcheck shell=sh
apt-get install -y --no-install-recommends autopkgtest
autopkgtest -B build/deb/*.deb "$(echo build/deb/memserver-*/)" -- null
