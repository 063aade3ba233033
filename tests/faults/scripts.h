/*
 * scripts: cases that together use every operation of both daemons, and every way in which a
 * connection, a claim or a file ends.
 */
#ifndef TESTS_FAULTS_SCRIPTS_H
#define TESTS_FAULTS_SCRIPTS_H

#include "tests/faults/drive.h"

extern const struct drive_script scripts_all[];
extern const unsigned scripts_count;

#endif
