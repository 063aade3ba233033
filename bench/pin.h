/*
 * pin: keeps this process, and all that it starts from then on, on one core.
 *
 * The figures of section 10 of the design are taken that way: what is counted
 * is work and changes of process, not how two cores wake each other.
 */
#ifndef BENCH_PIN_H
#define BENCH_PIN_H

/*
 * Pin to the highest of the cores that we may use: the lowest often has the
 * machine's interrupts.  The core's number, or -errno.
 */
int pin_core(void);

/* "pinned to core 1", or "not pinned" for a negative number; in a static buffer. */
const char *pin_words(int core);

#endif
