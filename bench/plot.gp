# plot.gp: draws the data of `smbench --plot-data DIR`. `make plots` runs it as
#
#	gnuplot -e "data='DIR'; out='bench/plots'" bench/plot.gp
#
# README.md shows out/size.svg and out/changed.svg.

load data.'/run.gp'

set terminal svg size 860,520 font 'DejaVu Sans,Verdana,sans-serif,14' background '#ffffff'
set encoding utf8
set border 3 lc rgb '#404040'
set grid ytics lc rgb '#d8d8d8' lw 1
set tics nomirror out
set logscale y 10
set yrange [0.5:4000]
set ytics ('1' 1, '10' 10, '100' 100, '1000' 1000)
set mytics 10
set ylabel 'one critical section, µs (median)'
# The right axis is in a unit that every machine has.
set logscale y2 10
set y2range [0.5/round_trip:4000/round_trip]
set y2tics ('0.1' 0.1, '1' 1, '10' 10, '100' 100) nomirror
set y2label 'TLS round trips of 40 bytes'
set border 11
set key top left Left reverse samplen 3 spacing 1.2
set lmargin 9
set rmargin 9

set style line 1 lc rgb '#c0392b' lw 2.5 pt 7 ps 0.8
set style line 2 lc rgb '#2c5aa0' lw 2.5 pt 5 ps 0.8
set style line 3 lc rgb '#888888' lw 1.5 pt 6 ps 0.7 dt 2
set style line 4 lc rgb '#888888' lw 1.5 pt 4 ps 0.7 dt 2
set style line 5 lc rgb '#404040' lw 1 dt 3
set style line 6 lc rgb '#c0842b' lw 2.5 pt 9 ps 0.9
set style line 7 lc rgb '#2c8a60' lw 2.5 pt 11 ps 0.9
set style line 8 lc rgb '#8e44ad' lw 2.5 pt 13 ps 0.9
set style line 9 lc rgb '#16a2b8' lw 2.5 pt 15 ps 0.9

where = 'uncontended; servers: TLS over a unix socket, client and server on one core'

set output out.'/size.svg'
set title "Cost of a critical section against the size of its segment\n{/*0.85 ".where."}"
set xlabel 'size of the segment (0 B: a pure lock)'
set xrange [-0.4:6.4]
plot data.'/size.dat' using 0:6:xtic(1) with linespoints ls 1 title 'smdish, all of it changed', \
     '' using 0:8 with linespoints ls 6 title 'smuf, all of it changed', \
     '' using 0:10 with linespoints ls 8 title 'smc, all of it changed', \
     '' using 0:5 with linespoints ls 2 title 'smdish, 1 byte changed', \
     '' using 0:7 with linespoints ls 7 title 'smuf, 1 byte changed', \
     '' using 0:9 with linespoints ls 9 title 'smc, 1 byte changed', \
     '' using 0:4 with linespoints ls 3 title 'kernel (fcntl lock, shared mapping), all changed', \
     '' using 0:3 with linespoints ls 4 title 'kernel, 1 byte changed', \
     round_trip with lines ls 5 title 'a bare TLS round trip'

set output out.'/changed.svg'
set title "Cost of a critical section against how much of 1 MiB it changes\n{/*0.85 ".where."}"
set xlabel 'bytes changed, from the start of a block of 4 KiB'
set logscale x 4
set xrange [0.6:2.0*1048576]
plot data.'/changed.dat' using 2:4:xtic(1) with linespoints ls 1 title 'smdish, segment of 1 MiB', \
     '' using 2:5 with linespoints ls 6 title 'smuf, segment of 1 MiB', \
     '' using 2:6 with linespoints ls 8 title 'smc, segment of 1 MiB', \
     '' using 2:3 with linespoints ls 3 title 'kernel (fcntl lock, shared mapping)', \
     round_trip with lines ls 5 title 'a bare TLS round trip'
