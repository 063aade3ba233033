# The rules of citations.sh.

BEGIN {
	path["DESIGN"] = "common/DESIGN.md"
	path["PROTOCOL"] = "common/wire/PROTOCOL.md"
	path["smuf/FORMAT"] = "smuf/FORMAT.md"
	path["smc/FORMAT"] = "smc/FORMAT.md"
	for (name in path) {
		while ((getline line < path[name]) > 0)
			if (match(line, /^##+ [0-9]+(\.[0-9]+)* /)) {
				split(line, word, " ")
				has_section[name, word[2]] = 1
			}
		close(path[name])
	}
}

function broken(rule)
{
	printf "%s:%d: %s\n", FILENAME, FNR, rule
	failed = 1
}

function exists(file,    line, result)
{
	result = (getline line < file) >= 0
	close(file)
	return result
}

# Checks each "NAME n.m" of the line.
function check_citations(rest,    cited, part)
{
	while (match(rest, /((smuf|smc)\/)?(DESIGN|PROTOCOL|FORMAT) [0-9]+(\.[0-9]+)*((,| and| or) [0-9]+(\.[0-9]+)*)*/)) {
		cited = substr(rest, RSTART, RLENGTH)
		rest = substr(rest, RSTART + RLENGTH)
		if (cited ~ /(,| and| or) /) {
			broken("cite each section with its document's name: " cited)
			continue
		}
		split(cited, part, " ")
		if (!(part[1] in path))
			broken("there is no such document (smuf/FORMAT or smc/FORMAT): " cited)
		else if (!((part[1], part[2]) in has_section))
			broken(path[part[1]] " has no such section: " cited)
	}
}

# Checks that each [text](target) of a document that is no URL leads to a file.
function check_links(rest,    target, folder)
{
	while (match(rest, /\]\([^)]*\)/)) {
		target = substr(rest, RSTART + 2, RLENGTH - 3)
		rest = substr(rest, RSTART + RLENGTH)
		sub(/#.*/, "", target)
		if (target == "" || target ~ /^[a-z]+:/)
			continue
		folder = FILENAME
		if (!sub(/\/[^\/]*$/, "/", folder))
			folder = ""
		if (!exists(folder target))
			broken("the link leads to no file: " target)
	}
}

# A citation may be broken between two lines of a comment.
FNR > 1 && previous ~ /(DESIGN|PROTOCOL|FORMAT)$/ {
	joined = $0
	sub(/^[ \t]*[*#;]*[ \t]*/, "", joined)
	sub(/.*[ \t(]/, "", previous)
	check_citations(previous " " joined)
}

{
	previous = $0
}

/(DESIGN|PROTOCOL|FORMAT) [0-9]/ {
	check_citations($0)
}

FILENAME ~ /\.md$/ && /\]\(/ {
	check_links($0)
}

END {
	exit failed
}
