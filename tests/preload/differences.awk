# The rows of DIFFERENCES in smpreload(7), as lines "ROW: OURS, not PLAIN" or "ROW: OURS, not PLAIN (smc)".

/^\.Sh / {
	is_here = $2 == "DIFFERENCES"
}

is_here && sub(/^\.It /, "") {
	split($0, part, ": ")
	count = split(part[1], row, " ")
	for (i = 1; i <= count; i++)
		print row[i] ": " part[2]
}
