#include "common/server/process.h"

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/base/closer.h"
#include "common/base/log.h"
#include "common/base/rights.h"
#include "common/base/size.h"

enum {
	MAPPED_SIZE = 256 * SIZE_KIB, /* of the smallest buffer that is mapped */
	/* Open files besides one for each session: some, and those that wait to be closed. */
	OTHER_FILES = 64 + CLOSER_QUEUE_MOST + RIGHTS_MOST
};

void
process_harden(void)
{
	struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

void
process_tune_malloc(void)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED_SIZE);
}

void
process_raise_file_limit(uint32_t session_count)
{
	rlim_t needed = (rlim_t)session_count + OTHER_FILES;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= needed)
		return;
	if (files.rlim_max < needed)
		files.rlim_max = needed;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return;
	/* Only root may raise the hard limit: raise the soft one up to it. */
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	log_warning(
	    "only %lu descriptors are allowed, %lu are needed for %lu sessions (ulimit -n, -c)",
	    (unsigned long)files.rlim_cur, (unsigned long)needed, (unsigned long)session_count);
}
