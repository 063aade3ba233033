"""What is closed refuses calls, and no view of a segment outlives it."""

import gc
import subprocess
import sys
import unittest

import rig
import smclient

# Leaves a cycle of the set, of a view, and of objects that use the view when they end: of those
# one is made before the set, and one after it.
CYCLE = """
import gc, sys, smclient

class Last:
    def __del__(self):
        self.view[0] = 1
        print(self.view[0])

first = Last()
mounts = smclient.Mounts("mounts")
view = mounts.open(sys.argv[1]).map(8).view.cast("B")
last = Last()
for user in [first, last]:
    user.view, user.users, user.mounts = view, [first, last], mounts
mounts.users = user.users
del first, last, mounts, view, user
gc.collect()
print("end")
"""


class Closing(unittest.TestCase):
    def refuses(self, calls):
        for call in calls:
            with self.assertRaises(ValueError):
                call()

    def calls_of(self, file):
        return [
            file.map,
            file.lock,
            file.rdlock,
            file.unlock,
            file.downgrade,
            lambda: file.dirty(0, 1),
            file.grant,
            file.stat,
            file.holder,
        ]

    @rig.each_kind
    def test_a_closed_file_refuses_all_calls(self, path):
        with smclient.Mounts("mounts") as mounts:
            with mounts.open(path) as file:
                segment = file.map(8)
            self.refuses(self.calls_of(file))
            segment.view[0] = 1
            segment.unmap()
            file.close()

    @rig.each_kind
    def test_a_closed_set_refuses_all_calls_and_so_does_what_was_opened(self, path):
        with smclient.Mounts("mounts") as mounts:
            file = mounts.open(path)
            segment = file.map(8)
        self.refuses(self.calls_of(file))
        self.refuses([lambda: mounts.open(path), lambda: mounts.load("mounts")])
        self.refuses([lambda: mounts.mount("file:smcdir", "/x", "smc"), lambda: segment.view])
        segment.unmap()
        file.close()
        mounts.close()

    @rig.each_kind
    def test_an_unmapped_segment_has_no_view(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            segment = file.map(8)
            self.assertIs(file.map(), segment)
            view = segment.view
            segment.unmap()
            self.refuses([lambda: view[0], lambda: segment.view])
            segment.unmap()
            with file.map() as memory:
                self.assertEqual(len(memory), 8)
                self.refuses([lambda: segment.view])
                segment.unmap()
                memory[0] = 1

    @rig.each_kind
    def test_a_segment_with_another_view_is_not_unmapped(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            segment = file.map(8)
            for make in [lambda v: v[2:], lambda v: v.cast("Q"), memoryview]:
                view = make(segment.view)
                for refusing in [segment.unmap, mounts.close]:
                    with self.assertRaises(BufferError):
                        refusing()
                    self.assertEqual(file.stat().size, 8)
                    view[0] = segment.view[-1] = 5
                view.release()
            segment.unmap()

    @rig.each_kind
    def test_the_memory_stays_while_only_a_view_is_left(self, path):
        def keep_a_view():
            mounts = smclient.Mounts("mounts")
            view = mounts.open(path).map(8).view[:4]
            with self.assertWarns(ResourceWarning):
                del mounts
                gc.collect()
            view[:] = b"here"
            self.assertEqual(bytes(view), b"here")

        self.assertEqual(rig.end(rig.fork(keep_a_view)), 0)
        # Nothing closed the child's file: of smc it is left until it is opened again.
        with smclient.Mounts("mounts") as mounts:
            mounts.open(path)

    @rig.each_kind
    def test_finalizers_use_views_of_a_set_that_is_collected_with_them(self, path):
        command = [sys.executable, "-B", "-c", CYCLE, path]
        run = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "1\n1\nend\n", ""))
        # Nothing closed that program's file: of smc it is left until it is opened again.
        with smclient.Mounts("mounts") as mounts:
            mounts.open(path)

    @rig.each_kind
    def test_a_set_that_is_dropped_is_closed(self, path):
        with smclient.Mounts("mounts") as mounts:
            with self.assertWarns(ResourceWarning):
                smclient.Mounts("mounts").open(path).map(8)
                gc.collect()
            with self.assertRaises(smclient.NotFoundError):
                mounts.open(path, create=False)

    @rig.each_kind
    def test_a_segment_is_not_unmapped_while_the_lock_is_held(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            segment = file.map(8)
            with file.lock():
                with self.assertRaises(smclient.Error):
                    segment.unmap()
                segment.view[0] = 1
            segment.unmap()

    @rig.each_kind
    def test_a_child_that_closes_leaves_the_parent_what_it_has(self, path):
        mounts = smclient.Mounts("mounts")
        file = mounts.open(path)
        memory = file.map(8).view
        with file.lock():
            memory[0] = 3
        self.assertEqual(rig.end(rig.fork(mounts.close)), 0)
        with file.lock():
            self.assertEqual(memory[0], 3)
        memory.release()
        mounts.close()

    @rig.each_kind
    def test_a_program_that_closes_nothing_ends_silently(self, path):
        program = "import sys, smclient\n"
        program += "view = smclient.Mounts('mounts').open(sys.argv[1]).map(8).view\nview[0] = 1\n"
        command = [sys.executable, "-B", "-c", program, path]
        run = subprocess.run(command, capture_output=True)
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, b"", b""))
