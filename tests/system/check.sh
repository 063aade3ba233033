# check.sh: comparing and counting for test scripts, which source it.
#
# Sets checks and failures to 0 and counts in them. A script ends with finish.

# shellcheck shell=sh disable=SC2034 # the scripts read them
failures=0
checks=0

# expect WHAT EXPECTED CAME
expect()
{
	checks=$((checks + 1))
	[ "$2" != "$3" ] || return 0
	failures=$((failures + 1))
	printf '%s: expected:\n%s\ncame:\n%s\n' "$1" "$2" "$3"
}

# expect_match WHAT PATTERN CAME: a pattern of sh(1) that matches all of CAME
expect_match()
{
	checks=$((checks + 1))
	# shellcheck disable=SC2254 # a pattern is what it is
	case $3 in
	$2) return 0 ;;
	esac
	failures=$((failures + 1))
	printf '%s: expected something like:\n%s\ncame:\n%s\n' "$1" "$2" "$3"
}

# has_program NAME: it is in /usr/bin; or a line that what needs it is skipped
has_program()
{
	[ -x "/usr/bin/$1" ] && return 0
	echo "skipped: there is no $1"
	return 1
}

# finish: the last command of a script; prints the counts, and exits with 0 unless a check failed
finish()
{
	echo "$checks checks, $failures failures"
	[ $failures -eq 0 ]
	exit
}
