"""Compares the options of each program's parser, --help, usage and manual.

The parser is asked by trying: each letter, and each beginning of a long name, which the program
completes when it refuses it. An option is written "-x" or "--name", with " ARGUMENT" if it takes one.
"""
import os
import re
import string
import subprocess
import sys

SRC, BUILD = os.environ["SRC"], os.environ["BUILD"]
PROGRAMS = [
    # program, its manual, the sections of the manual that are another program's
    (BUILD + "/smdishserver", "common/server/smdishserver.8", ["Options of smufserver"]),
    (BUILD + "/smufserver", "common/server/smdishserver.8", ["Options of smdishserver"]),
    (BUILD + "/smbench", "bench/smbench.1", []),
    (BUILD + "/smstat", "deploy/smstat/smstat.1", []),
    (BUILD + "/smrun", "common/preload/smrun.1", []),
    (BUILD + "/makemanifest", "deploy/makemanifest.1", []),
    (SRC + "/deploy/mkpki", "deploy/mkpki.1", []),
]
failures = checks = 0


def expect_equal(what, wanted, came):
    global failures, checks
    checks += 1
    if wanted == came:
        return
    failures += 1
    if isinstance(wanted, set):
        came, wanted = sorted(came - wanted), sorted(wanted - came)
        print(f"{what}: only here: {wanted}; only there: {came}")
    else:
        print(f"{what}: expected {wanted}, came {came}")


def try_out(program, *arguments):
    """Runs the program with arguments that it is to refuse. Returns its exit status and what it said."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=float(os.environ["PATIENCE"]))
    return done.returncode, done.stderr


def parsed_letters(program):
    """No option has the letter ?, but ? may be an argument."""
    found = set()
    for letter in string.ascii_letters + string.digits:
        status, said = try_out(program, f"-{letter}?")
        refused = re.search(r"option -- '(.)'|no option -(.)", said)
        if status == 0 or (refused and "?" in refused.groups()):
            found.add(f"-{letter}")
        elif not (refused and letter in refused.groups()):
            found.add(f"-{letter} ARGUMENT")
    return found


def parsed_names(program):
    names = set()
    for letter in string.ascii_lowercase:
        said = try_out(program, f"--{letter}=value")[1]
        names.update(re.findall(r"'(--[a-z-]{2,})'", said) + re.findall(r"is (--[a-z-]+) meant", said))
    found = set()
    for name in names:
        status, said = try_out(program, f"{name}=value")
        if "doesn't allow an argument" in said:
            found.add(name)
        elif "unrecognized option" not in said and "no option" not in said:
            found.add(name + " ARGUMENT")
    return found


def options_of(items):
    """Triples of letter, name and whether there is an argument, as options and as pairs."""
    options, pairs = set(), set()
    for letter, name, argument in items:
        for option in filter(None, (letter, name)):
            options.add(option + " ARGUMENT" * bool(argument))
        pairs.add((letter, name))
    return options, pairs


def of_help(text):
    """An argument follows an option after one blank, what it does after more."""
    return re.findall(r"^ *(?=-)(-\w)?(?:, )?(--[a-z-]+)?( [^ \n]+)?", text, re.M)


def of_manual(text):
    for item in re.findall(r"^\.It (Fl .*)$", text, re.M):
        letter = re.search(r"Fl (\w)\b", item)
        name = re.search(r"Fl -([a-z-]+)", item)
        yield ("-" + letter[1] if letter else "", "--" + name[1] if name else "", re.search(r" (Ar|Cm) ", item))


def check_program(program, page, sections):
    name = os.path.basename(program)
    helped = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    with open(f"{SRC}/{page}") as file:
        manual = file.read()
    for section in sections:
        manual = re.sub(rf"^\.Ss {section}\n.*?(?=^\.S[sh] )", "", manual, flags=re.M | re.S)
    help_options, help_pairs = options_of(of_help(helped))
    manual_options, manual_pairs = options_of(of_manual(manual))
    is_script = program.endswith("mkpki")
    parser = parsed_letters(program) | parsed_names(program)
    if is_script:
        # It completes no names: those of --help must be known to it.
        parser |= {option for option in help_options if option.startswith("--") and
                   try_out(program, option.split()[0])[0] == 0}
    expect_equal(f"{name}: options of the parser, and of --help", parser, help_options)
    expect_equal(f"{name}: options of --help, and of the manual", help_options, manual_options)
    expect_equal(f"{name}: letters with their names, --help and the manual", help_pairs, manual_pairs)
    usage = helped.split("\n\n")[0]
    commands = set(re.findall(rf"^(?:usage:|      ) {name} (?:\[options\] )?([a-z]+) ", usage, re.M))
    if commands:
        came = set(re.findall(r"^\.It Ic (\w+)", manual, re.M))
        expect_equal(f"{name}: commands of the usage, and of the manual", commands, came)
    else:
        check_usage(name, usage, help_pairs)


def check_usage(name, usage, pairs):
    bundles = "".join(re.findall(r"[[|] ?-(\w+)(?=\]| \|)", usage))
    for letter, long in pairs:
        if long not in ("--help", "--version"):
            is_there = letter[1:] in bundles if letter else False
            is_there = is_there or any(re.search(rf"(^|[\s\[|]){re.escape(word)}[ \]\n]", usage)
                                       for word in (letter, long) if word)
            expect_equal(f"{name}: {letter} {long} in the usage", True, is_there)


def check_configuration():
    """smserver.conf(5) has the names of the servers' options, with their letters, and address."""
    wanted = set()
    for program in ("smdishserver", "smufserver"):
        helped = subprocess.run([f"{BUILD}/{program}", "--help"], capture_output=True, text=True, check=True).stdout
        for letter, name, argument in of_help(helped):
            if name not in ("--help", "--version", "--config"):
                wanted.add((name[2:], letter or name, bool(argument)))
    with open(SRC + "/common/server/smserver.conf.5") as file:
        manual = file.read()
    came = {(name, "-" + letter, bool(argument)) for name, argument, letter in
            re.findall(r"^\.It Ic ([a-z-]+)( Ar .*)?\n\.Fl (\S+)", manual, re.M)}
    expect_equal("names of the options, and of smserver.conf(5)", wanted, came)
    items = set(re.findall(r"^\.It Ic ([a-z-]+)", manual, re.M))
    expect_equal("names of smserver.conf(5)", {name for name, _, _ in wanted} | {"address"}, items)


def check_environment():
    """smdishserver(8) has the variables that the servers' code reads by a name of its own."""
    wanted = set()
    for folder in ("common/base", "common/host", "common/server", "common/server/core", "common/wire",
                   "common/crypto", "smdish", "smuf"):
        for name in os.listdir(f"{SRC}/{folder}"):
            if name.endswith(".c"):
                with open(f"{SRC}/{folder}/{name}") as file:
                    wanted |= set(re.findall(r'(?:getenv|_from_env)\(\s*"(\w+)"', file.read()))
    with open(SRC + "/common/server/smdishserver.8") as file:
        manual = file.read()
    came = {name for line in re.findall(r"^\.It Ev (.*)", manual, re.M) for name in line.split(" , ")}
    expect_equal("variables that the servers read, and of smdishserver(8)", wanted, came)


for row in PROGRAMS:
    check_program(*row)
check_configuration()
check_environment()
print(f"{checks} checks, {failures} failures")
sys.exit(failures != 0)
