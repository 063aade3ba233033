/*
 * package: a premanifest as a packager reads it: what to run, what to mount, how large the enclave
 * is. graphene.h and gramine.h make manifests of it.
 *
 *	CAFILE FILE	CERTFILE FILE	CRLFILE FILE	KEYFILE FILE
 *	CONFFILE FILE			the program's configuration
 *	DEBUG on|off
 *	ENCLAVE_SIZE MIB
 *	EXEC file:PROGRAM		the program, a path of the host
 *	MODULE file:LIBRARY		a library that the program may load later; any number
 *	MOUNT ...			mountline.h; any number
 *	THREADS COUNT [exitless]
 *	TIMESERVER udp:HOST:PORT FILE RATE
 *
 * All but MODULE and MOUNT may be there once. sm_load() reads the same file (mountfile.h).
 *
 * The premanifest belongs to the packager, but may contain any bytes: the result is a package, or
 * an error with file, line and column. The files that it names are not read here.
 */
#ifndef DEPLOY_PACKAGE_H
#define DEPLOY_PACKAGE_H

#include <bsd/sys/queue.h>
#include <stdbool.h>

#include "deploy/mountline.h"
#include "deploy/word.h"

struct module {
	TAILQ_ENTRY(module) link;
	struct word uri;
};

TAILQ_HEAD(module_list, module);

struct package {
	const char *file; /* the premanifest, for messages */

	/* Text NULL: not there. */
	struct word program; /* URI */
	struct word ca_file, cert_file, crl_file, key_file, conf_file;
	struct word debug;   /* on, off */
	struct word size;    /* MiB, a number */
	struct word threads; /* a number */
	struct word exitless;
	struct word server, server_key, server_rate; /* TIMESERVER */

	unsigned size_mib, thread_count; /* 0: not there */
	unsigned rate;                   /* ten-thousandths */
	bool is_debugged;
	struct mountline_list mounts;
	struct module_list modules;
};

/*
 * Reads the premanifest at path, which outlives the package, into *p. Returns 0 or a negative
 * errno, with a message. After a failure *p needs package_fini(), too.
 */
int package_load(struct package *p, const char *path);

/* The same from size bytes at bytes. */
int package_parse(struct package *p, const char *file, const void *bytes, size_t size);

void package_fini(struct package *p);

/* The path of a file: URI, which EXEC and MODULE have. */
const char *package_path(const struct word *uri);

#endif
