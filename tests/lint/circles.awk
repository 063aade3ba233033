# The rules of circles.sh. Goes with layers.awk.
#
# First file: lines "FILE INCLUDED". Second file: lines "FILE [ADDRESS] TYPE SYMBOL", as nm prints.

FNR == 1 {
	input++
}

# The order in which awk goes through an array is its own: every file has a number.
!($1 in number) {
	number[$1] = ++count_of_files
	file_of[count_of_files] = $1
}

input == 1 {
	includes[$1] = includes[$1] " " $2
	next
}

$(NF - 1) == "U" {
	needs[$1] = needs[$1] " " $NF
	next
}

# Each daemon has a main().
$NF != "main" {
	if ($NF in definer)
		is_ambiguous[$NF] = 1
	definer[$NF] = $1
}

# Follows what file points to, depth first; a file that is met again on the way closes a circle.
function visit(file, edges, what,    i, count, to, line)
{
	state[file] = "open"
	way[++depth] = file
	count = split(edges[file], to_visit, " ")
	for (i = 1; i <= count; i++)
		to[i] = to_visit[i]
	for (i = 1; i <= count; i++) {
		if (state[to[i]] == "open")
			tell_circle(to[i], what)
		else if (state[to[i]] == "")
			visit(to[i], edges, what)
	}
	depth--
	state[file] = "done"
}

function tell_circle(file, what,    i, line)
{
	for (i = depth; way[i] != file; i--)
		;
	line = file ":1: a circle by " what ":"
	for (; i <= depth; i++)
		line = line " " way[i] step[way[i], i < depth ? way[i + 1] : file] " ->"
	print line " " file
	failed = 1
}

function visit_all(edges, what,    i)
{
	split("", state)
	depth = 0
	for (i = 1; i <= count_of_files; i++)
		if (state[file_of[i]] == "")
			visit(file_of[i], edges, what)
}

END {
	visit_all(includes, "include")
	for (f = 1; f <= count_of_files; f++) {
		file = file_of[f]
		count = split(needs[file], symbol, " ")
		for (i = 1; i <= count; i++) {
			to = definer[symbol[i]]
			if (to == "" || to == file || symbol[i] in is_ambiguous)
				continue
			if (!((file, to) in step))
				calls[file] = calls[file] " " to
			step[file, to] = step[file, to] == "" ? " (" symbol[i] ")" : step[file, to]
			why = why_not(room_of(file), room_of(to))
			if (why != "" && file != "common/client/backends.c") {
				printf "%s:1: %s is %s %s and needs nothing of it: %s of %s\n",
				    file, room_of(file), why, room_of(to), symbol[i], to
				failed = 1
			}
		}
	}
	visit_all(calls, "call")
	exit failed
}
