/*
 * layout: smuf's files on the host, as server and clients see them (smuf/FORMAT 1).
 *
 * A memory file /NAME is the lock file memdir/NAME and, once it has a segment, memdir/NAME.segment.
 * The integers of the lock file are in host byte order; the first two are a lock for version 1
 * clients and a hint for all others. Magic and life distinguish the files of a server from others.
 * A segment file of version 1 is as long as the segment, one of version 2 has two slots for each
 * block (common/host/slotfile.h). The host can change both files at any time: nothing in them is
 * trusted.
 */
#ifndef SMUF_LAYOUT_H
#define SMUF_LAYOUT_H

enum {
	/* The lock file: offsets, and its size. */
	LAYOUT_TICKET_AT = 0,   /* u32, the next ticket */
	LAYOUT_TURN_AT = 4,     /* u32, the ticket being served */
	LAYOUT_MAGIC_AT = 64,   /* 16 bytes */
	LAYOUT_LIFE_AT = 80,    /* u64, of the memory file */
	LAYOUT_SEGMENT_AT = 88, /* u64, bytes of the segment file; 0 before there is one */
	LAYOUT_PROBE_AT = 2048, /* 2 KiB for hostprobe_check_shared() */
	LAYOUT_LOCK_SIZE = 4096,

	/* The directory's lock file (dirlock.h): offsets. */
	LAYOUT_OWNER_AT = 0,        /* u64, random */
	LAYOUT_COUNT_AT = 8,        /* u64 */
	LAYOUT_KERNEL_LOCK_AT = 16, /* u64, 1: the owner's flock(2) is the kernel's */
	LAYOUT_RECORD_AT = 24       /* the name of the lock file that is being created */
};

#define LAYOUT_MAGIC "smuf lock file 1" /* 16 bytes, without the NUL */
#define LAYOUT_DIRECTORY_LOCK ".smufserver.lock"
#define LAYOUT_DIRECTORY_LOCK_NAME \
	"/.smufserver.lock" /* the name that a memory file may not have */

#endif
