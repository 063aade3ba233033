"""Errors have smclient(3)'s words and Python's classes; declarations are those of smclient.h."""

import ctypes
import errno
import inspect
import os
import pathlib
import unittest

import rig
import smclient
from smclient import library


class Errors(unittest.TestCase):
    def fails(self, error, number, words, call):
        with self.assertRaises(error) as raised:
            call()
        self.assertIsInstance(raised.exception, smclient.Error)
        self.assertEqual(raised.exception.errno, number)
        self.assertIn(words, raised.exception.strerror)

    def test_an_error_has_errno_and_the_words_of_sm_error(self):
        with smclient.Mounts() as mounts:
            pathlib.Path("bad").write_text("MOUNT nowhere\n")
            self.fails(smclient.Error, errno.EINVAL, "bad:1", lambda: mounts.load("bad"))
            self.fails(FileNotFoundError, errno.ENOENT, "missing", lambda: mounts.load("missing"))
            self.fails(FileNotFoundError, errno.ENOENT, "no mount", lambda: mounts.open("/x"))
            mounts.mount("unix:/nowhere/sock", "/nowhere", "smdish", "silence=1")
            self.fails(ConnectionError, errno.ENOTCONN, "/nowhere", lambda: mounts.open("/nowhere/x"))
            mounts.load(pathlib.Path("mounts"))
            again = lambda: mounts.mount("file:smcdir", "/sm/smc", "smc")
            self.fails(FileExistsError, errno.EEXIST, "taken", again)

    def test_a_word_with_a_zero_byte_is_refused(self):
        with smclient.Mounts("mounts") as mounts:
            for call in [lambda: mounts.open("/sm/dish/a\0b"), lambda: mounts.load("mounts\0b")]:
                with self.assertRaises(ValueError):
                    call()
            words = ["file:smcdir", "/zero", "smc", "key=key"]
            for i in range(len(words)):
                with self.assertRaises(ValueError):
                    mounts.mount(*words[:i], words[i] + "\0", *words[i + 1 :])
            mounts.mount(*words)

    def test_a_constructor_that_fails_leaves_nothing(self):
        with self.assertRaises(smclient.NotFoundError):
            smclient.Mounts("missing")

    @rig.each_kind
    def test_a_file_says_what_is_wrong(self, path):
        with rig.counter(path) as (file, _):
            self.fails(smclient.Error, errno.EINVAL, "", lambda: file.map(16))
            self.fails(smclient.Error, errno.ENOLCK, "", file.unlock)
            self.fails(smclient.Error, errno.ENOLCK, "", file.grant)
            self.fails(smclient.Error, errno.EINVAL, "", lambda: file.dirty(8, 1))
            with file.lock():
                self.fails(smclient.DeadlockError, errno.EDEADLK, "", file.lock)
            # ctypes would pass the lowest 64 bits of a larger number.
            for call in [
                lambda: file.map(-1),
                lambda: file.map(2**64 + 8),
                lambda: file.dirty(-1, 1),
                lambda: file.dirty(2**64, 1),
                lambda: file.dirty(0, 2**64 + 1),
            ]:
                with self.assertRaises(ValueError):
                    call()

    @rig.each_kind
    def test_a_file_is_created_or_not_as_the_caller_says(self, path):
        with smclient.Mounts("mounts") as mounts:
            name = os.path.basename(path)
            self.fails(FileNotFoundError, errno.ENOENT, name, lambda: mounts.open(path, create=False))
            with mounts.open(path, exclusive=True), mounts.open(path, create=False):
                again = lambda: mounts.open(path, exclusive=True)
                self.fails(FileExistsError, errno.EEXIST, name, again)


class Declarations(unittest.TestCase):
    def test_the_functions_are_those_of_the_header(self):
        functions = pathlib.Path("functions.txt").read_text().split()
        self.assertEqual(list(library.PROTOTYPES), functions)

    def test_layout_and_constants_are_those_of_the_compiler(self):
        came = {
            f"sm_stat {ctypes.sizeof(library.CStat)}",
            f"sm_holder {ctypes.sizeof(library.CHolder)}",
        }
        for name, struct in [("sm_stat", library.CStat), ("sm_holder", library.CHolder)]:
            for member, _ in struct._fields_:
                field = getattr(struct, member)
                came.add(f"{name}.{member} {field.offset} {field.size}")
        for name in ["OPEN_CREATE", "OPEN_EXCLUSIVE", "OPEN_OWNER"]:
            came.add(f"SM_{name} {getattr(library, name)}")
        for name in ["WRITE", "READ", "TRY", "INTERRUPTIBLE"]:
            came.add(f"SM_{name} {getattr(library, name)}")
        came |= {f"SM_TYPE_{type.name} {type.value}" for type in smclient.Type}
        self.assertEqual(came, set(pathlib.Path("layout.txt").read_text().splitlines()))

    def test_whatever_is_public_is_documented_and_typed(self):
        for name in smclient.__all__:
            thing = getattr(smclient, name)
            self.assertTrue(thing.__doc__, name)
            members = vars(thing) if inspect.isclass(thing) else {name: thing}
            for member, value in members.items():
                if inspect.isfunction(value) and member[0] != "_" and value.__module__ == thing.__module__:
                    self.assertTrue(value.__doc__, f"{name}.{member}")
                    self.assertIn("return", value.__annotations__, f"{name}.{member}")

    def test_the_version_is_the_library_s(self):
        self.assertRegex(smclient.version(), r"^\d+\.\d+$")
