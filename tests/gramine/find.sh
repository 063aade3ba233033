# find.sh: puts $GRAMINE/bin in PATH; where there is no gramine-direct, ends the script that sources it.

# shellcheck shell=sh
if [ -n "${GRAMINE:-}" ]; then
	PATH=$GRAMINE/bin:$PATH
	PYTHONPATH=$(echo "$GRAMINE"/lib/python3*/site-packages)
	export PATH PYTHONPATH
fi
if ! command -v gramine-direct >/dev/null; then
	echo 'skipped: gramine-direct is neither in $GRAMINE/bin nor in PATH'
	exit 0
fi
