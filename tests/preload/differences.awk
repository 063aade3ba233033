# The rows of DIFFERENCES in smpreload(7) that are those of kind, as lines "ROW: OURS, not PLAIN". There, kinds
# that alone differ so stand in parentheses: "ROW: OURS, not PLAIN (smuf, smc)".

/^\.Sh / {
	is_here = $2 == "DIFFERENCES"
}

is_here && sub(/^\.It /, "") {
	split($0, part, ": ")
	kinds = part[2]
	if (sub(/ \([a-z, ]*\)$/, "", part[2]) && index(substr(kinds, length(part[2])), kind) == 0)
		next
	count = split(part[1], row, " ")
	for (i = 1; i <= count; i++)
		print row[i] ": " part[2]
}
