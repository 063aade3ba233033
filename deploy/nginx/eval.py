# eval.py: what a caching TLS proxy with its zones in memory files serves, beside one with nginx's own zones.
#
# usage: eval.py [--short] [--tickets] [--kinds K,...] [--workers N,...] [--sizes KIB,...] [--seconds S] [--rounds N]
#	[--connections N] [--plots DIR]
#
# Prints a table of ratios to "linux", nginx with its own zones, measured in turn with the others: all kinds of a
# round run one after the other, and a ratio is the median over the rounds. The load comes over TLS 1.3, with a
# certificate on P-256: ab's on connections that are kept, hey's on a new one for each request. It has a processor to
# itself, and the sites have the others. Fails when a body is wrong, the cache does not serve it, or a request fails. The
# environment has SRC, BUILD and NGINX_PROGRAM for deploy/nginx/serve. Columns:
#
#	ratio		requests a second
#	cpu		linux's processor time for a request, divided by that of the kind: the ratio of the rates that
#			a load without a limit would reach
#	original	the ratio that the original's evaluation had, where it has one
#	us/req.		processor time of nginx and its memory server for a request
#	switches	their context switches for a request
#	sections	critical sections for a request, and the bytes that one publishes, as the memory server counts
#	errors		requests that failed, or got another answer
#	load		what the load uses of its processor; above 80 % it is what limits the rate
#
# Why two programs: ab needs least for a request, but more for a handshake than nginx. wrk polls for writing in each
# handshake, which takes all of its processor whatever nginx does, and resumes sessions without saying so.

import argparse
import json
import math
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request

SRC, BUILD = os.environ["SRC"], os.environ["BUILD"]
TICKS = os.sysconf("SC_CLK_TCK")
# Of the original, at 1 KiB without keep-alive: workers, kind, ratio to plain Linux.
ORIGINAL = {(4, "smc"): 0.30, (4, "smuf"): 0.22, (8, "smuf"): 0.07}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def processors():
    """For the load, and for the sites."""
    every = sorted(os.sched_getaffinity(0))
    return {every[-1]}, set(every[:-1] or every)


class Site:
    """A running tenant of deploy/nginx/serve."""

    def __init__(self, kind, workers, sizes, has_tickets):
        self.kind = kind
        self.workers = workers
        self.port = free_port()
        command = [SRC + "/deploy/nginx/serve", "-p", str(self.port), "-w", str(workers)]
        command += ["-t", kind] if has_tickets else [kind]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: os.sched_setaffinity(0, processors()[1]))
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("eval: %s did not start" % kind)
        self.directory = line.split()[1]
        files = os.path.dirname(self.directory) + "/origin/files"
        for kib in sizes:
            body = os.urandom(kib * 1024)
            with open("%s/%d" % (files, kib), "wb") as f:
                f.write(body)
            for wanted in ("MISS", "HIT"):
                self.check(kib, wanted, body)

    def check(self, kib, wanted, body):
        context = ssl.create_default_context(cafile=self.directory + "/pki/root.crt")
        with urllib.request.urlopen("https://localhost:%d/%d" % (self.port, kib), context=context) as answer:
            came = answer.headers["X-Cache"]
            if answer.read() != body or came != wanted:
                raise SystemExit("eval: %s: %d KiB: not the body, or not %s but %s" % (self.kind, kib, wanted, came))

    def processes(self):
        """nginx's and the memory server's."""
        found = [self.number("nginx.pid")]
        with open("/proc/%d/task/%d/children" % (found[0], found[0])) as f:
            found += [int(each) for each in f.read().split()]
        if os.path.exists(self.directory + "/memory.pid"):
            found.append(self.number("memory.pid"))
        return found

    def number(self, name):
        with open(self.directory + "/" + name) as f:
            return int(f.read())

    def spent(self):
        """Seconds of processor time, and context switches."""
        seconds = switches = 0
        for each in self.processes():
            with open("/proc/%d/stat" % each) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            seconds += (int(fields[11]) + int(fields[12])) / TICKS
            with open("/proc/%d/status" % each) as f:
                switches += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", f.read()))
        return seconds, switches

    def sections(self):
        """Critical sections and bytes that were published, as the memory server counts them."""
        if not os.path.exists(self.directory + "/memory.pid"):
            return 0, 0
        command = [BUILD + "/smstat", "-j", "-i", "0", self.directory + "/mounts"]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        files = json.loads(said)["servers"][0]["files"]
        return sum(each["sections"] for each in files), sum(each["bytes_released"] for each in files)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Run:
    """One load on one site."""

    def __init__(self, site, kib, keepalive, seconds, connections):
        if keepalive:
            command = ["ab", "-q", "-k", "-c", str(connections), "-t", str(seconds), "-n", "10000000"]
        else:
            command = ["hey", "-disable-keepalive", "-cpus", "1", "-c", str(connections), "-z", "%ds" % seconds]
        counted, before, used = site.sections(), site.spent(), children_time()
        started = time.monotonic()
        said = subprocess.run(command + ["https://localhost:%d/%d" % (site.port, kib)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, processors()[0])).stdout
        self.load = (children_time() - used) / (time.monotonic() - started)
        after = site.spent()
        (self.read_ab if keepalive else self.read_hey)(said, kib * 1024)
        self.cpu = (after[0] - before[0]) / max(self.count, 1)
        self.switches = (after[1] - before[1]) / max(self.count, 1)
        sections, published = (new - old for new, old in zip(site.sections(), counted))
        self.sections = sections / max(self.count, 1)
        self.bytes = published / max(sections, 1)

    def read_ab(self, said, size):
        self.count = int(number(r"Complete requests:\s+(\d+)", said))
        self.rate = number(r"Requests per second:\s+([\d.]+)", said)
        self.p50, self.p99 = (number(r"%d%%\s+(\d+)" % share, said) for share in (50, 99))
        self.errors = int(number(r"Failed requests:\s+(\d+)", said) + number(r"Non-2xx responses:\s+(\d+)", said, 0))
        self.errors += number(r"Document Length:\s+(\d+) bytes", said) != size

    def read_hey(self, said, size):
        answers = {code: int(n) for code, n in re.findall(r"\[(\d+)\]\s+(\d+) responses", said)}
        self.count = answers.pop("200", 0)
        self.rate = number(r"Requests/sec:\s+([\d.]+)", said)
        self.p50, self.p99 = (1000 * number(r"%d%% in ([\d.]+) secs" % share, said) for share in (50, 99))
        failed = re.findall(r"^  \[(\d+)\]\s", said.partition("Error distribution:")[2], re.M)
        self.errors = sum(answers.values()) + sum(int(n) for n in failed)
        self.errors += number(r"Size/request:\s+(\d+) bytes", said) != size


def number(pattern, said, absent=math.nan):
    found = re.search(pattern, said)
    return float(found.group(1)) if found else absent


def children_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


def mean(ratios):
    return math.exp(statistics.fmean(math.log(each) for each in ratios)) if min(ratios) > 0 else 0


def rounds(options, sites, kib, keepalive):
    """Returns the runs of each kind, in the order of the rounds."""
    runs = {site.kind: [] for site in sites}
    for number in range(options.rounds):
        for site in sites:
            progress("%d workers, %d KiB, %s, round %d, %s" % (
                site.workers, kib, "keep-alive" if keepalive else "new connections", number + 1, site.kind))
            runs[site.kind].append(Run(site, kib, keepalive, options.seconds, options.connections))
    progress("")
    return runs


def measure(options):
    """Yields workers, size, keepalive and the runs of each kind."""
    for workers in options.workers:
        sites = [Site(kind, workers, options.sizes, options.tickets) for kind in options.kinds]
        try:
            for kib in options.sizes:
                for keepalive in (True, False):
                    yield workers, kib, keepalive, rounds(options, sites, kib, keepalive)
        finally:
            for site in sites:
                site.end()


def median(runs, name):
    return statistics.median(getattr(run, name) for run in runs)


HEAD = ("workers", "KiB", "keep", "kind", "reqs/s", "ratio", "cpu", "original", "p50 ms", "p99 ms", "us/req.",
        "switches", "sections", "bytes", "errors", "load")
LINE = "%7s %4s %4s %-6s %7s %5s %5s %8s %7s %7s %7s %8s %8s %6s %6s %4s"


def print_cell(workers, kib, keepalive, runs):
    """Returns the ratio of the rates of each kind, and that of the processor times."""
    ratios, costs = {}, {}
    for kind, each in runs.items():
        ratios[kind] = statistics.median(run.rate / max(base.rate, 1) for run, base in zip(each, runs["linux"]))
        costs[kind] = statistics.median(base.cpu / run.cpu if run.cpu else 0 for run, base in zip(each, runs["linux"]))
        original = ORIGINAL.get((workers, kind)) if kib == 1 and not keepalive else None
        print(LINE % (
            workers, kib, "yes" if keepalive else "no", kind, "%.0f" % median(each, "rate"), "%.2f" % ratios[kind],
            "%.2f" % costs[kind], "" if original is None else "%.2f" % original, "%.2f" % median(each, "p50"), "%.2f" % median(each, "p99"),
            "%.1f" % (1e6 * median(each, "cpu")), "%.2f" % median(each, "switches"),
            "%.3f" % median(each, "sections"), "%.0f" % median(each, "bytes"), sum(run.errors for run in each),
            "%.0f%%" % (100 * max(run.load for run in each))), flush=True)
    return ratios, costs


def plot(path, title, cells, kinds):
    """Bars of ratios: a group for each cell."""
    colours = {"fcntl": "#888888", "smdish": "#c0392b", "smuf": "#2c5aa0", "smc": "#2c8a60"}
    width, height, left, bottom = 60 + 90 * len(cells), 320, 50, 270
    top = 1.25
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">' %
           (width, height), '<rect width="100%" height="100%" fill="#ffffff"/>',
           '<text x="%d" y="18">%s</text>' % (left, title)]
    for ratio in (0, 0.25, 0.5, 0.75, 1):
        y = bottom - ratio / top * 240
        out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#d8d8d8"/>' % (left, width, y, y))
        out.append('<text x="%d" y="%.1f" text-anchor="end">%.2f</text>' % (left - 6, y + 4, ratio))
    for number, (name, ratios) in enumerate(cells):
        x = left + 10 + 90 * number
        for place, kind in enumerate(kinds):
            size = min(ratios[kind], top) / top * 240
            out.append('<rect x="%d" y="%.1f" width="16" height="%.1f" fill="%s"/>' %
                       (x + 18 * place, bottom - size, size, colours[kind]))
        out.append('<text x="%d" y="%d">%s</text>' % (x, bottom + 16, name))
    for place, kind in enumerate(kinds):
        x = left + 80 * place
        out.append('<rect x="%d" y="%d" width="10" height="10" fill="%s"/>' % (x, height - 20, colours[kind]))
        out.append('<text x="%d" y="%d">%s</text>' % (x + 14, height - 11, kind))
    with open(path, "w") as f:
        f.write("\n".join(out + ["</svg>\n"]))


def parse():
    def words(text):
        return text.split(",")

    def numbers(text):
        return [int(each) for each in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="two workers, two sizes, two seconds each")
    parser.add_argument("--tickets", action="store_true", help="TLS sessions in tickets, not in a zone")
    parser.add_argument("--kinds", type=words, default=words("fcntl,smdish,smuf,smc"))
    parser.add_argument("--workers", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--sizes", type=numbers, default=[1, 10, 100, 1024], help="KiB")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--plots", help="a directory for SVG plots")
    options = parser.parse_args()
    if options.short:
        options.workers, options.sizes, options.seconds, options.rounds = [2], [1, 100], 2, 1
    options.kinds = ["linux"] + [kind for kind in options.kinds if kind != "linux"]
    return options


def print_means(ratios, costs, kinds):
    print("\nto linux: geometric mean and lowest ratio of requests a second; the same of processor time")
    for keepalive, name in ((True, "keep-alive"), (False, "new connections")):
        for kind in kinds:
            rate, cost = ratios[keepalive, kind], costs[keepalive, kind]
            print("  %-16s %-7s %.2f %.2f   %.2f %.2f" % (name, kind, mean(rate), min(rate), mean(cost), min(cost)))


def main():
    options = parse()
    for program, package in (("ab", "apache2-utils"), ("hey", "hey")):
        if shutil.which(program) is None:
            raise SystemExit("eval: for this, apt-get install " + package)
    print(LINE % HEAD, flush=True)
    ratios, costs, cells, errors = {}, {}, {True: [], False: []}, 0
    for workers, kib, keepalive, runs in measure(options):
        cell, costs_here = print_cell(workers, kib, keepalive, runs)
        cells[keepalive].append(("%d w, %d KiB" % (workers, kib), cell))
        errors += sum(run.errors for each in runs.values() for run in each)
        for kind in cell:
            ratios.setdefault((keepalive, kind), []).append(cell[kind])
            costs.setdefault((keepalive, kind), []).append(costs_here[kind])
    print_means(ratios, costs, options.kinds[1:])
    if options.plots:
        os.makedirs(options.plots, exist_ok=True)
        for keepalive, name in ((True, "keepalive"), (False, "connections")):
            plot("%s/%s.svg" % (options.plots, name), "requests a second, as a share of nginx's with its own zones",
                 cells[keepalive], options.kinds[1:])
    if errors > 0:
        raise SystemExit("eval: %d requests failed" % errors)


main()
