"""Memory files over each kind: exact counting, a killed holder, readers, deadlines and signals."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

import rig
import smclient

CHILDREN, TIMES = 4, 200

# Counts in another program, which inherits nothing.
PROGRAM = """
import sys, rig
with rig.counter(sys.argv[1]) as (file, numbers):
    rig.count(file, numbers, int(sys.argv[2]))
"""

# Reads what was published, in a process that wrote none of it.
READ = """
import smclient
with smclient.Mounts("hinted") as mounts, mounts.open("/hinted/dirty") as file:
    with file.map() as memory, file.rdlock():
        print(memory[4096], memory[8192])
"""


class Counting(unittest.TestCase):
    @rig.each_kind
    def test_forked_children_count_exactly(self, path):
        with rig.counter(path) as (file, numbers):
            work = lambda: rig.count(file, numbers, TIMES)
            children = [rig.fork(work) for _ in range(CHILDREN)]
            work()
            self.assertEqual([rig.end(child) for child in children], CHILDREN * [0])
            with file.rdlock():
                self.assertEqual(numbers[0], (CHILDREN + 1) * TIMES)

    @rig.each_kind
    def test_unrelated_programs_count_exactly(self, path):
        with rig.counter(path) as (file, numbers):
            command = [sys.executable, "-B", "-c", PROGRAM, path, str(TIMES)]
            programs = [subprocess.Popen(command) for _ in range(CHILDREN)]
            self.assertEqual([program.wait() for program in programs], CHILDREN * [0])
            with file.rdlock():
                self.assertEqual(numbers[0], CHILDREN * TIMES)

    @rig.each_kind
    def test_threads_count_exactly(self, path):
        with rig.counter(path) as (file, numbers):
            work = lambda: rig.count(file, numbers, TIMES)
            threads = [threading.Thread(target=work) for _ in range(CHILDREN)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with file.rdlock():
                self.assertEqual(numbers[0], CHILDREN * TIMES)

    @rig.each_kind
    def test_a_killed_holder_publishes_nothing_and_loses_the_lock(self, path):
        with rig.counter(path) as (file, numbers):
            rig.count(file, numbers, 7)

            def hold(told):
                file.lock()
                numbers[0] = 4711
                told()

            with rig.other_process(hold) as child:
                with self.assertRaises(smclient.WouldBlockError):
                    file.lock(timeout=0)
                os.kill(child, signal.SIGKILL)
                with file.lock(timeout=rig.PATIENCE):
                    self.assertEqual(numbers[0], 7)

    @rig.each_kind
    def test_what_an_exception_leaves_is_published_and_what_is_closed_is_not(self, path):
        with rig.counter(path) as (file, numbers), rig.counter(path) as (other, seen):
            with self.assertRaises(KeyError), file.lock():
                numbers[0] = 1
                raise KeyError
            with file.lock():
                numbers[0] = 2
                file.close()
            with other.rdlock():
                self.assertEqual(seen[0], 1)

    def test_changes_that_are_named_are_published(self):
        conf = "MOUNT file:smcdir /hinted smc key=key,track=hint\n"
        pathlib.Path("hinted").write_text(conf)
        with smclient.Mounts("hinted") as mounts, mounts.open("/hinted/dirty") as file:
            with file.map(3 * 4096) as memory:
                with file.lock():
                    memory[4096], memory[8192] = 1, 2
                    file.dirty(8192, 1)
                command = [sys.executable, "-B", "-c", READ]
                self.assertEqual(subprocess.check_output(command), b"0 2\n")


class Waiting(unittest.TestCase):
    @rig.each_kind
    def test_a_time_that_is_over_is_a_timeout_error(self, path):
        with rig.counter(path) as (file, _), rig.other_process(hold(file)):
            with self.assertRaises(TimeoutError) as raised:
                file.lock(timeout=0.01)
            self.assertIsInstance(raised.exception, smclient.Error)
            with self.assertRaises(BlockingIOError):
                file.rdlock(timeout=0)
            with self.assertRaises(ValueError):
                file.lock(timeout=-1)

    @rig.each_kind
    def test_a_handler_that_raises_ends_the_wait(self, path):
        def interrupt(*_):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        with rig.counter(path) as (file, _), rig.other_process(hold(file)):
            with self.assertRaises(KeyboardInterrupt):
                # Again and again: one that comes before the wait does not end it.
                signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
                file.lock()

    @contextlib.contextmanager
    def interrupted(self, is_waiting, end_the_wait):
        """Once this thread waits for a lock, a signal comes, and then the wait ends."""

        def interrupt(*_):
            raise KeyboardInterrupt

        def signal_and_end():
            while not is_waiting():
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGALRM)
            end_the_wait()

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        # The wait goes on: Python calls the handler after it.
        signal.siginterrupt(signal.SIGALRM, False)
        thread = threading.Thread(target=signal_and_end)
        thread.start()
        with self.assertRaises(KeyboardInterrupt):
            yield
        thread.join()

    @rig.each_kind
    def test_a_handler_that_raises_when_the_lock_is_acquired_leaves_it_free(self, path):
        for is_owner in [False, True]:
            with rig.counter(path) as (other, _), rig.other_process(hold(other)) as child:
                file = other._mounts.open(path, owner=is_owner)
                end = lambda: os.kill(child, signal.SIGKILL)
                with self.interrupted(lambda: other.stat().waiters > 0, end):
                    file.lock()
                with other.lock(timeout=rig.PATIENCE):
                    pass

    @rig.each_kind
    def test_a_handler_that_raises_when_a_reader_may_write_leaves_it_the_lock(self, path):
        for is_owner in [False, True]:
            with rig.counter(path) as (other, _):
                file = other._mounts.open(path, owner=is_owner)
                reader = other._mounts.open(path, owner=True)
                reader.rdlock()

                def is_waiting():
                    # Then no other reader comes.
                    try:
                        with other.rdlock(timeout=0):
                            return False
                    except smclient.WouldBlockError:
                        return True

                with file.rdlock():
                    with self.interrupted(is_waiting, reader.unlock):
                        file.lock()
                    file.grant()

    @rig.each_kind
    def test_a_thread_that_gives_up_leaves_the_lock_of_another_alone(self, path):
        with rig.counter(path) as (file, _), rig.other_process(hold(file)) as child:
            owned = file._mounts.open(file.path, owner=True)
            has_lock, may_go_on = threading.Event(), threading.Event()

            def hold_it():
                with owned.lock():
                    has_lock.set()
                    may_go_on.wait(rig.PATIENCE)

            thread = threading.Thread(target=hold_it)
            thread.start()
            while file.stat().waiters == 0:
                time.sleep(0.001)
            # It waits behind that thread, which has the lock before this one gives up.
            threading.Timer(0.05, os.kill, [child, signal.SIGKILL]).start()
            with self.assertRaises(smclient.Error):
                owned.lock(timeout=1)
            self.assertTrue(has_lock.wait(rig.PATIENCE))
            with self.assertRaises(smclient.WouldBlockError):
                file.lock(timeout=0)
            may_go_on.set()
            thread.join()
            owned.close()

    @rig.each_kind
    def test_after_a_handler_that_does_not_raise_the_wait_goes_on(self, path):
        with rig.counter(path) as (file, _), rig.other_process(hold(file)) as child:
            came = []

            def handle(*_):
                came.append(None)
                if len(came) == 3:
                    os.kill(child, signal.SIGKILL)

            self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, handle))
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
            with file.lock(timeout=rig.PATIENCE):
                signal.setitimer(signal.ITIMER_REAL, 0)
            self.assertGreaterEqual(len(came), 3)

    @rig.each_kind
    def test_other_threads_run_meanwhile(self, path):
        with rig.counter(path) as (file, _), rig.other_process(hold(file)) as child:
            timer = threading.Timer(0.01, os.kill, [child, signal.SIGKILL])
            timer.start()
            with file.lock():
                pass
            timer.join()


def hold(file):
    def body(told):
        file.lock()
        told()

    return body


class Modes(unittest.TestCase):
    @rig.each_kind
    def test_a_reader_becomes_a_writer_and_a_reader_again(self, path):
        with rig.counter(path) as (file, numbers):
            with file.rdlock():
                before = file.grant()
                file.lock()
                numbers[0] = 1
                self.assertEqual(file.holder(), (smclient.Mode.WRITE, os.getpid()))
                file.downgrade()
                after = file.grant()
                self.assertEqual(numbers[0], 1)
            self.assertEqual(after.life, before.life)
            self.assertGreater(after.grant, before.grant)
            self.assertEqual(file.holder().mode, smclient.Mode.FREE)

    @rig.each_kind
    def test_any_thread_releases_what_the_file_owns(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path, owner=True) as file:
            file.lock()
            thread = threading.Thread(target=file.unlock)
            thread.start()
            thread.join()
            file.lock(timeout=0)
            file.unlock()

    @rig.each_kind
    def test_stat_tells_what_is_known(self, path):
        with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
            pure = file.stat()
            self.assertEqual((pure.type, pure.size), (smclient.Type.PURE, 0))
            with file.map(5000) as memory:
                self.assertEqual(file.stat().type, smclient.Type.UNPUBLISHED)
                with file.lock():
                    memory[:5] = b"hello"
                    version = file.grant().grant
                s = file.stat()
                self.assertEqual((s.life, s.size, s.open_count), (pure.life, 5000, 1))
                self.assertEqual((s.type, s.waiters), (smclient.Type.SEGMENT, 0))
                self.assertEqual((len(s.instance), s.version), (16, version))
                self.assertGreaterEqual(s.committed, 5)
