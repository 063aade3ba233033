#!/bin/sh
# tests/run: what a test skipped stands in its line, whoever says so: a script, or a program of cmocka with a reason or
# without; and the last line counts the tests that skipped something.

# shellcheck source=tests/system/check.sh
. "${SRC:?}/tests/system/check.sh"
cd "${TMPDIR:?}" || exit 1
mkdir -p tree/tests/one build/tests || exit 1
ln -s "${BUILD:?}/patience" build/patience
echo 'echo 4 checks' >tree/tests/one/test_all.sh
printf '%s\n' 'echo skipped: there is no tool' 'echo skipped: not as root' 'echo skipped: there is no tool' >tree/tests/one/test_some.sh
printf '%s\n' 'echo skipped: something' 'exit 1' >tree/tests/one/test_fails.sh
cat >build/tests/test_cmocka <<'END'
#!/bin/sh
cat <<'LINES'
[==========] Running 3 test(s).
[ RUN      ] the_first_one_of_them
# namespaces are forbidden here
[  SKIPPED ] the_first_one_of_them
[ RUN      ] another_one
[  SKIPPED ] another_one
[ RUN      ] the_last
[       OK ] the_last
[==========] 3 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 2 test(s), listed below:
[  SKIPPED ] the_first_one_of_them
[  SKIPPED ] another_one
LINES
END
chmod 755 build/tests/test_cmocka
SRC=$PWD/tree BUILD=$PWD/build sh "$SRC/tests/run" test_all test_some test_fails test_cmocka >out 2>&1
expect 'exit status' 1 $?
expect_match 'a test that skips nothing' 'ok      test_all *[0-9] s' "$(grep test_all out)"
expect_match 'a script that skips' 'ok      test_some *[0-9] s, skipped: there is no tool; not as root' "$(grep test_some out)"
expect_match 'cmocka' 'ok      test_cmocka *[0-9] s, skipped: the_first_one_of_them (namespaces are forbidden here); another_one' \
    "$(grep test_cmocka out)"
expect 'the last line' '3 passed, 1 failed, 2 of those that passed skipped something' "$(tail -n 1 out)"
finish
