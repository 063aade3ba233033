# count.pl LOCK HOW COUNTER PROCESSES SECTIONS: children of fork count in the plain file COUNTER while they
# have the file LOCK locked, with flock or fcntl (HOW). Prints the counter.
use strict;
use warnings;
use Fcntl qw(:DEFAULT :flock :seek);

my ($lock, $how, $counter, $processes, $sections) = @ARGV;

sub turn {
	my ($file, $locks) = @_;
	if ($how eq 'flock') {
		flock($file, $locks ? LOCK_EX : LOCK_UN) or die "flock: $!";
	} else {
		my $request = pack('s s x4 l! l! i x4', $locks ? F_WRLCK : F_UNLCK, SEEK_SET, 0, 0, 0);
		fcntl($file, F_SETLKW, $request) or die "fcntl: $!";
	}
}

sub count {
	sysopen(my $file, $lock, O_RDWR | O_CREAT) or die "$lock: $!";
	for (1 .. $sections) {
		turn($file, 1);
		open(my $in, '<', $counter) or die "$counter: $!";
		my $n = <$in>;
		close($in);
		open(my $out, '>', $counter) or die "$counter: $!";
		print $out $n + 1;
		close($out) or die "$counter: $!";
		turn($file, 0);
	}
	close($file) or die "$lock: $!";
}

open(my $out, '>', $counter) or die "$counter: $!";
print $out 0;
close($out);
my @children = map { my $child = fork(); if (!$child) { count(); exit 0; } $child } 1 .. $processes;
waitpid($_, 0) == $_ && $? == 0 or die "a child failed" for @children;
open(my $in, '<', $counter) or die "$counter: $!";
print scalar <$in>, "\n";
