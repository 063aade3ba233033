/* fuzz_daemon_smuf: fuzz_daemon with smufserver. */
#define FUZZ_SMUF
#include "tests/fuzz/fuzz_daemon.c"
