"""typed.py FILE: what a user of bash gets who types the beginning of a name and presses TAB and Enter, with the completions
in FILE: every program must be given the whole name, in one word, whatever is in it and however its beginning was quoted.
Prints what differs and exits with 1. It works below the working directory. Environment: PATIENCE, in seconds; PATH, the
programs, of which only --help is run."""

import os
import pty
import select
import signal
import sys
import time

# What is in front of the name; the last two are options with files. The first gets all cases, the others those of FEW.
PROGRAMS = ['smbench', 'smdishserver', 'smufserver', 'smstat', 'smrun', 'smrun x cat', 'makemanifest', 'mkpki list',
            'mkpki revoke x', 'smbench -f', 'smdishserver -Z x x']

# Files beside which a pattern, or a part of a name, is another name.
FILES = ['blank/a b', 'blank/b', 'star/a*c', 'star/abc', 'bracket/a[b]c', 'bracket/abc', 'quote/a\'b"c',
         'dollar/a$HOME`pwd`\\', 'newline/a\nb', 'newline/b', 'colon/a:b=c', 'minus/-a', 'in it/~x', 'one minus/-x y',
         '.hidden/plain']

# A directory in which it is typed, what is typed, the word that the program must be given.
CASES = [
    ('.', 'blank/a', 'blank/a b'),
    ('.', 'blank/a\\ ', 'blank/a b'),
    ('.', '"blank/a ', 'blank/a b'),
    ('.', "'blank/a ", 'blank/a b'),
    ('.', 'star/a\\*', 'star/a*c'),
    ('.', '"star/a*', 'star/a*c'),
    ('.', 'bracket/a\\[', 'bracket/a[b]c'),
    ('.', 'quote/', 'quote/a\'b"c'),
    ('.', "quote/a\\'b", 'quote/a\'b"c'),
    ('.', '"quote/a\'b\\"', 'quote/a\'b"c'),
    ('.', 'dollar/', 'dollar/a$HOME`pwd`\\'),
    ('.', 'dollar/a\\$H', 'dollar/a$HOME`pwd`\\'),
    ('.', "'dollar/a$HOME`", 'dollar/a$HOME`pwd`\\'),
    ('.', 'newline/a', 'newline/a\nb'),
    ('.', 'colon/', 'colon/a:b=c'),
    ('.', 'minus/', 'minus/-a'),
    ('.', 'in', 'in it/'),
    ('.', 'in\\ it/', 'in it/~x'),
    ('.', '$BASE/in\\ it/', '@/in it/~x'),
    ('.', '"${BASE}/in it/', '@/in it/~x'),
    ('.', '~/blank/a', '@/blank/a b'),
    ('.', '.hid', '.hidden/'),
    ('one minus', '', './-x y'),
    ('one minus', './-', './-x y'),
]

FEW = ['blank/a\\ ', 'star/a\\*', 'bracket/a\\[', 'quote/', 'dollar/', 'newline/a', 'minus/']

# Instead of the programs, functions that write down what they are given. The completion asks the programs themselves.
SETUP = r'''
PS1= PS2= HISTFILE=; unset MAIL MAILCHECK PROMPT_COMMAND; set +H
bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; bind 'set completion-query-items 0'
. "$COMPLETION"
for program in smdishserver smufserver smbench smstat smrun makemanifest mkpki; do
	eval "$program()
	{
		case \$1 in
		--help) command $program --help ;;
		*) printf '%s\0' \"\$@\" . >\"\$TOLD/new\" && mv \"\$TOLD/new\" \"\$TOLD/words\" ;;
		esac
	}"
done
cd "$WHERE"
echo >"$TOLD/ready"
'''


def await_file(name, terminal, until):
    """What is in the file once it is there, which is then removed; None when it never comes."""
    while time.monotonic() < until:
        if select.select([terminal], [], [], 0.01)[0]:
            os.read(terminal, 65536)
        if os.path.exists(name):
            with open(name, 'rb') as file:
                contents = file.read()
            os.unlink(name)
            return contents
    return None


def complete(where, line):
    """The words that the program was given; a text when nothing came."""
    patience = float(os.environ['PATIENCE'])
    process, terminal = pty.fork()
    if process == 0:
        os.environ['WHERE'] = where
        os.execlp('bash', 'bash', '--norc', '--noprofile', '-i')
    try:
        os.write(terminal, b'. "$TOLD/setup"\n')
        if await_file('told/ready', terminal, time.monotonic() + patience) is None:
            return 'bash did not get ready'
        os.write(terminal, os.fsencode(line) + b'\t\n')
        words = await_file('told/words', terminal, time.monotonic() + patience)
        if words is None:
            return f'nothing within {patience:.0f} s'
        return [os.fsdecode(word) for word in words.split(b'\0')[:-2]]
    finally:
        os.close(terminal)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def main():
    base = os.path.join(os.getcwd(), 'typed')
    for name in FILES:
        os.makedirs(os.path.join(base, os.path.dirname(name)), exist_ok=True)
        with open(os.path.join(base, name), 'wb'):
            pass
    os.mkdir('told')
    with open('told/setup', 'w', encoding='ascii') as file:
        file.write(SETUP)
    os.environ.update(COMPLETION=os.path.abspath(sys.argv[1]), TOLD=os.path.abspath('told'), BASE=base, HOME=base,
                      TERM='dumb', INPUTRC='/dev/null', LC_ALL='C.UTF-8')
    failures = 0
    for program in PROGRAMS:
        for where, word, expected in CASES:
            if program != PROGRAMS[0] and word not in FEW:
                continue
            line = f'{program} {word}'
            wanted = program.split()[1:] + [expected.replace('@', base)]
            came = complete(os.path.join(base, where), line)
            if came != wanted:
                failures += 1
                print(f'{line!r}, TAB: expected: {wanted}, came: {came}')
    # After -- there are no options.
    came = complete(os.path.join(base, 'one minus'), 'smbench -- -')
    if came != ['--', '-x y']:
        failures += 1
        print(f"'smbench -- -', TAB: came: {came}")
    return 1 if failures else 0


sys.exit(main())
