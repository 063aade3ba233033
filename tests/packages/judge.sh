# What lintian says of the packages that build.sh made.

# shellcheck shell=sh
apt-get install -y --no-install-recommends lintian
lintian --allow-root --fail-on error,warning build/deb/*.changes
