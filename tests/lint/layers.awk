# What layers.txt says, for the checks of this folder. The caller sets rooms to its path.

BEGIN {
	while ((getline room_line < rooms) > 0)
		if (room_line !~ /^#/ && split(room_line, room_field) == 2)
			height[room_field[1]] = room_field[2]
	close(rooms)
}

# The room of a path from the root: the longest folder that layers.txt names; "" when there is none.
function room_of(path)
{
	while (sub(/\/[^\/]*$/, "", path))
		if (path in height)
			return path
	return ""
}

# The server and the client are branches that know nothing of each other.
function is_other_branch(from, to)
{
	return (from ~ /^common\/server/ && to ~ /^common\/(client|remote)/) ||
	    (from ~ /^common\/(client|remote)/ && to ~ /^common\/server/)
}

# "" when a file of room from may use one of room to; else how to lies.
function why_not(from, to)
{
	if (from == to || from == "tests")
		return ""
	if (is_other_branch(from, to) || height[from] == height[to])
		return "beside"
	return height[from] < height[to] ? "below" : ""
}
