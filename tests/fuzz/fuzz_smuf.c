/* fuzz_smuf: fuzz_session over the store of smuf. */
#define FUZZ_SMUF
#include "tests/fuzz/fuzz_session.c"
