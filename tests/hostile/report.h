/*
 * report: the faults that a test has found, and its row of the table.
 *
 * A test collects its faults and fails at its end, so that the table has a full row for each
 * attack, also one that the server does not withstand.
 */
#ifndef TESTS_HOSTILE_REPORT_H
#define TESTS_HOSTILE_REPORT_H

struct child_complaint;
struct rig;

/* Forgets the faults of the test before. */
void report_begin(void);

/* Adds a fault. */
void report_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Adds the complaint of a process, if it has made one. */
void report_complaint(const char *who, const struct child_complaint *c);

/* Compares waits, memory and log with their limits, each beyond its limit being a fault. */
void report_judge(const struct rig *r);

/* Writes the row, and fails the test if there was a fault. */
void report_end(const struct rig *r);

#endif
