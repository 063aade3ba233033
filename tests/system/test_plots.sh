#!/bin/sh
# bench/plot.gp draws every point of its data, however small: none falls below or above an axis, and the legend
# stands beside the curves.

# shellcheck source=tests/system/check.sh
. "${SRC:?}/tests/system/check.sh"
if ! command -v gnuplot >/dev/null; then
	echo 'skipped: there is no gnuplot'
	finish
fi
cd "${TMPDIR:?}" || exit 1
mkdir data

# Three sizes and two changes, as `smbench --plot-data` writes them, and figures over seven decades.
cat >data/size.dat <<'END'
"0 B" 0 0.05 0.05 16 16 15 15 0.004 0.004
"1 KiB" 1024 0.06 0.07 17 18 17 19 0.5 0.6
"1 MiB" 1048576 0.06 60 20 45000 21 800 9 700
END
cat >data/changed.dat <<'END'
"1 B" 1 0.06 20 21 9
"1 MiB" 1048576 60 45000 800 700
END
echo 'round_trip = 12.5' >data/run.gp

gnuplot -e "data='data'; out='.'" "$SRC/bench/plot.gp" >out 2>&1
expect 'exit status of gnuplot, and what it says' '0 ' "$? $(cat out)"

# The markers of points, and each curve's once more in the legend: four kinds, one byte and all.
expect 'size.svg: points, with those of the legend' $((4 * 5 + 8)) "$(grep -c '<use .*translate' size.svg)"
expect 'changed.svg: points, with those of the legend' $((4 * 2 + 4)) "$(grep -c '<use .*translate' changed.svg)"
for plot in size changed; do
	for word in smdish smuf smc kernel 'bare TLS round trip'; do
		expect "$plot.svg: names $word" yes "$(grep -q ">.*$word" $plot.svg && echo yes)"
	done
	# A marker of the legend is to the right of all those of the data.
	expect "$plot.svg: columns of markers in the legend" 1 "$(sed -n 's/.*<use .*translate(\([0-9]*\).*/\1/p' $plot.svg |
	    awk '$1 > 660' | sort -u | wc -l)"
done
finish
