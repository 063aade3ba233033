"""No view is of memory that has ended, whatever other threads, signals and forks do meanwhile."""

import contextlib
import itertools
import os
import signal
import sys
import threading
import unittest

import rig
import smclient
from smclient import library, memory

NOTHING = lambda: None


@contextlib.contextmanager
def meanwhile(name, before=NOTHING, after=NOTHING):
    """In the first call of a function of the library this happens before it, or after it."""
    function = getattr(library.c, name)

    def call(*arguments):
        setattr(library.c, name, function)
        before()
        result = function(*arguments)
        after()
        return result

    setattr(library.c, name, call)
    try:
        yield
    finally:
        setattr(library.c, name, function)


@contextlib.contextmanager
def at_line(functions, number, act):
    """This thread acts before that line, counted from 0 as they are run, of the module's functions.

    Yields a list that is empty until then.
    """
    came = []
    lines = itertools.count()

    def trace(frame, event, _):
        if frame.f_code.co_filename != memory.__file__ or frame.f_code.co_name not in functions:
            return None
        if event == "line" and next(lines) == number:
            came.append(frame.f_lineno)
            act()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield came
    finally:
        sys.settrace(before)


def in_a_thread(body):
    def run():
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()

    return run


class Unmapping(unittest.TestCase):
    @rig.each_kind
    def test_other_threads_see_no_memory_that_ends(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            for moment in ["before", "after"]:
                segment, seen = file.map(8), []
                segment.view[0] = 1

                def look():
                    try:
                        seen.append(segment.view)
                    except ValueError:
                        seen.append("refused")

                with meanwhile("sm_unmap", **{moment: in_a_thread(look)}):
                    segment.unmap()
                self.assertEqual(seen, ["refused"])

    @rig.each_kind
    def test_what_is_mapped_meanwhile_is_mapped_and_known(self, path):
        for moment in ["before", "after"]:
            mounts = smclient.Mounts("mounts")
            file = mounts.open(path)
            segment, seen = file.map(8), []
            thread = threading.Thread(target=lambda: seen.append(file.map(8).view[:4]))

            def begin():
                thread.start()
                thread.join(0.2)  # It may wait for unmap().

            with meanwhile("sm_unmap", **{moment: begin}):
                segment.unmap()
            thread.join()
            with self.assertRaises(BufferError):
                mounts.close()
            seen.pop()[:] = b"here"
            mounts.close()

    @rig.each_kind
    def test_what_is_unmapped_while_it_is_mapped_is_mapped_again(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            # By another thread; or by this one: the handler of a signal, a finalizer.
            for way in [in_a_thread, lambda body: body]:
                segment = file.map(8)
                with meanwhile("sm_map", after=way(segment.unmap)):
                    again = file.map(8)
                again.unmap()  # Its memory was there.

    @rig.each_kind
    def test_the_first_views_of_two_threads_are_one(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            for number in itertools.count():
                segment, seen = file.map(8), []
                other = in_a_thread(lambda: seen.append(segment.view[:4]))
                with at_line(["view"], number, other) as came:
                    view = segment.view
                if not came:
                    break
                self.assertIs(segment.view, view)
                with self.assertRaises(BufferError):
                    segment.unmap()
                seen.clear()
                segment.unmap()
            self.assertGreater(number, 1)

    @rig.each_kind
    def test_a_handler_that_raises_when_it_is_unmapped_leaves_no_view(self, path):
        def interrupt(*_):
            raise KeyboardInterrupt

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            segment = file.map(8)
            with meanwhile("sm_unmap", after=lambda: signal.raise_signal(signal.SIGALRM)):
                with self.assertRaises(KeyboardInterrupt):
                    segment.unmap()
            with self.assertRaises(ValueError):
                segment.view
            with file.map(8) as view:
                view[0] = 1

    @rig.each_kind
    def test_what_raises_at_any_line_leaves_no_view_of_nothing(self, path):
        def interrupt():
            raise KeyboardInterrupt

        def is_interrupted(number, is_seen, end):
            mounts = smclient.Mounts("mounts")
            file = mounts.open(path)
            segment = file.map(8)
            other = segment.view[:4] if is_seen else memoryview(bytearray(4))
            with contextlib.suppress(KeyboardInterrupt, BufferError):
                with at_line(["unmap", "close", "_hide", "_show"], number, interrupt) as came:
                    (segment.unmap if end == "unmap" else mounts.close)()
            with contextlib.suppress(ValueError):
                segment.view[0] = 1
            if is_seen:
                with self.assertRaises(BufferError):
                    mounts.close()
            other[:] = b"here"
            other.release()
            segment.unmap()
            if end == "unmap":
                with file.map(8) as view:
                    view[0] = 1
            mounts.close()
            return came

        for is_seen, end in itertools.product([False, True], ["unmap", "close"]):

            def interrupt_each():
                numbers = itertools.count()
                while is_interrupted(next(numbers), is_seen, end):
                    pass
                self.assertGreater(next(numbers), 10)

            with self.subTest(is_seen=is_seen, end=end):
                self.assertEqual(rig.end(rig.fork(interrupt_each)), 0)

    @rig.each_kind
    def test_a_child_that_is_forked_meanwhile_maps_and_unmaps(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            segment = file.map(8)

            def work():
                signal.alarm(rig.PATIENCE)
                with file.map(8) as view:
                    view[0] = 1
                mounts.close()

            child = []
            fork = in_a_thread(lambda: child.append(rig.fork(work)))
            with meanwhile("sm_unmap", before=fork):
                segment.unmap()
            self.assertEqual(rig.end(child.pop()), 0)
