# plot.gp: draws the data of `smbench --plot-data DIR`. `make plots` runs it as
#
#	gnuplot -e "data='DIR'; out='bench/plots'" bench/plot.gp
#
# README.md shows out/size.svg and out/changed.svg. A colour is a kind; what is dashed changes one byte.

load data.'/run.gp'
sizes = data.'/size.dat'
changes = data.'/changed.dat'

set terminal svg size 980,520 font 'DejaVu Sans,Verdana,sans-serif,14' background '#ffffff'
set encoding utf8
set datafile missing '-'
set border 11 lc rgb '#404040'
set grid ytics lc rgb '#d8d8d8' lw 1
set tics nomirror out
set lmargin at screen 0.105
set rmargin at screen 0.665
set bmargin at screen 0.15
set tmargin at screen 0.87
set key at screen 0.76, 0.87 left top vertical Left reverse samplen 2.5 spacing 1.4

# Both axes end a little below the least figure and above the greatest one.
least = 1e9
most = 0
do for [i = 3:10] {
	stats sizes using i nooutput
	least = STATS_min < least ? STATS_min : least
	most = STATS_max > most ? STATS_max : most
}
do for [i = 3:6] {
	stats changes using i nooutput
	least = STATS_min < least ? STATS_min : least
	most = STATS_max > most ? STATS_max : most
}
least = least / 1.6
most = most * 1.6
set logscale y 10
set yrange [least:most]
set ytics ('10 ns' 0.01, '100 ns' 0.1, '1 µs' 1, '10 µs' 10, '100 µs' 100, '1 ms' 1000, '10 ms' 1e4)
set ylabel 'one critical section (median)' offset 1
# The right axis is in a unit that every machine has.
set logscale y2 10
set y2range [least/round_trip:most/round_trip]
set y2tics ('0.001' 0.001, '0.01' 0.01, '0.1' 0.1, '1' 1, '10' 10, '100' 100, '1000' 1000)
set y2label 'TLS round trips of 40 bytes' offset -1

set style line 1 lc rgb '#c0392b' lw 2.5 pt 7 ps 0.8
set style line 2 lc rgb '#2c5aa0' lw 2.5 pt 5 ps 0.8
set style line 3 lc rgb '#1e8449' lw 2.5 pt 9 ps 1.0
set style line 4 lc rgb '#7f7f7f' lw 2.5 pt 13 ps 1.0
set style line 5 lc rgb '#404040' lw 1.2 dt 3
kinds = 'smdish smuf smc'
kernel = 'kernel (fcntl, mmap)'
bare = 'bare TLS round trip'
where = 'uncontended; servers: TLS over a unix socket, client and server on one core'

# The first row is the lock alone, which is no size: its points are not joined to the others, and stand side by
# side, for those of the servers are equal.
set output out.'/size.svg'
set title "Cost of a critical section against the size of its segment\n{/*0.85 ".where."}"
set xlabel 'size of the segment'
set xrange [-0.4:6.4]
place(size) = size == 0 ? 0 : 1 + log(size/1024.0)/log(4)
label(text) = text eq '0 B' ? 'lock only' : text
plot for [i = 1:3] sizes using (place($2)):(column(2*i + 4)):xtic(label(stringcolumn(1))) every ::1 \
         with linespoints ls i title word(kinds, i).', all changed', \
     sizes using (place($2)):4 every ::1 with linespoints ls 4 title 'kernel, all changed', \
     for [i = 1:3] sizes using (place($2)):(column(2*i + 3)) every ::1 with linespoints ls i dt 2 \
         title word(kinds, i).', 1 byte changed', \
     sizes using (place($2)):3 every ::1 with linespoints ls 4 dt 2 title 'kernel, 1 byte changed', \
     for [i = 1:3] sizes using (place($2) + 0.12*(i - 2)):(column(2*i + 3)) every ::0::0 with points ls i notitle, \
     sizes using (place($2)):3:xtic(label(stringcolumn(1))) every ::0::0 with points ls 4 notitle, \
     round_trip with lines ls 5 title bare

set output out.'/changed.svg'
set title "Cost of a critical section against how much of 1 MiB it changes\n{/*0.85 ".where."}"
set xlabel 'bytes changed, from the start of a block of 4 KiB'
set logscale x 4
set xrange [0.6:1.7*1048576]
set xtics ('1 B' 1, '16 B' 16, '256 B' 256, '4 KiB' 4096, '64 KiB' 65536, '1 MiB' 1048576)
plot for [i = 1:3] changes using 2:(column(i + 3)) with linespoints ls i title word(kinds, i), \
     changes using 2:3 with linespoints ls 4 title kernel, \
     round_trip with lines ls 5 title bare
