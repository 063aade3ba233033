/*
 * Opening and the last close of smc's lock file, and fork(2). Three processes open, use and close one
 * name, or are children that one of them forks; the host kills one between any two steps.
 * tests/model/run checks it. With MIXED each open is one of a mount without locks=, in a system that
 * has kernel locks, or of one with locks=none, and no process forks.
 *
 * Proved, for every interleaving of OPS opens and FAULTS kills: the locks in use at one time under
 * one name are one inode and one life of it (never two, never one started afresh under its users);
 * a lock in use has the name, is not marked dead, and the segment file is the one of its life;
 * every open and close returns while the living processes go on (weakly fair). A stopped process is
 * one that is not scheduled, as in lock.pml; one that stops with the recovery lock stops processes
 * that open or close, for 10 s each, and none that waits for the lock. There is no time here: a wait
 * for the recovery lock may end whenever another process has it. With NO_BOUND, as progress is
 * checked, no wait ends so.
 *
 * Assumed: nobody else unlinks or renames the two files; threads and handles of a process that
 * share an open file description also share a mutex around these steps (the kernel does not part
 * them).
 *
 * The steps. The recovery lock, like the lock on a presence byte, belongs to an open file
 * description and to one inode. The functions are in smc/lockfile_open.c, smc/lockfile.c and
 * smc/lockfile_fork.c.
 *
 * lockfile_open()  O1  open by name; if there is no file, create it (O_EXCL), or open again
 *                  O2  wait for the recovery lock of the opened inode; after 10 s: close, ETIMEDOUT
 *                  O3  not `dead`: O5
 *                  O4  dead: if the name still leads here, the process that marked it died:
 *                      unlink the segment file, then the name. Close (which unlocks), and O1;
 *                      after 10 s of that: ETIMEDOUT
 *                  O5  magic is there and any presence byte, asked one after the other, is locked:
 *                      O7
 *                  O6  new, or all its processes are dead: magic = 0, unlink the segment file, new
 *                      life (new salt, no segment yet; the tickets go on), magic stored last. In
 *                      the code the segment file is made later, by the first process that maps it,
 *                      under the recovery lock
 *                  O7  presence_claim(), still under the recovery lock
 *                  O8  unlock the recovery lock
 * lockfile_close() C1  wait for the recovery lock; after 10 s: C7
 *                  C2  unlock the own presence byte
 *                  C3  any other presence byte, asked one after the other, is locked: C7
 *                  C4  dead = 1
 *                  C5  unlink the segment file
 *                  C6  unlink the name
 *                  C7  close, which unlocks the recovery lock and, after 10 s, the presence byte
 * fork_prepare()   F1  open by name, for the child
 *                  F2  wait for the recovery lock, through the child's description; after 1 s: F4,
 *                      and the child has no slot
 *                  F3  presence_claim() for the child
 *                  F4  unlock the recovery lock
 * fork_child()     F5  the child uses the file, if it has a slot. Until here the child's description
 *                      ends with the parent
 * fork_attach()    A1  a child without a slot, at its first call: open by name; no file: ESTALE
 *                  A2  wait for the recovery lock; after 10 s: close, ETIMEDOUT
 *                  A3  no magic, another salt than the parent's, or dead: close, ESTALE
 *                  A4  presence_claim()
 *                  A5  unlock the recovery lock
 *
 * With MIXED the file has a format, which says whether its processes use kernel locks, and
 * everything above is for files that do. A mount with locks=none leaves out O2. Then, before O3, in
 * smc/lockfile_locks.c:
 *
 *                  N2  cas format: 0 -> as the mount says. Another mount's locks=kernel and
 *                      locks=none do not go together: close, EINVAL. With kernel locks: O3
 *                  N3  unlock the recovery lock. Wait for magic, unless we stored the format
 *                  N4  wait for the word recovery_lock. O3; dead: no O4, but close and O1
 *
 * Without kernel locks magic alone leads from O5 to O7, refcnt is counted instead of presence bytes,
 * and the waits end after 10 s: an open fails then, and a close leaves without the steps C2 to C6.
 * What a process that is killed had counted or locked stays so.
 *
 * A process that unlinks the name holds the recovery lock of the inode that the name leads to; so
 * between the comparison in O4 and the unlink, the name cannot come to lead elsewhere. In C6 it
 * leads here: it did at O8, and no process has marked it dead since. A crash between C4 and C6 is
 * why O4 is not just "open again", which would never end.
 */
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef OPS
#define OPS 4
#endif
#define PROCESSES 3
/* Each process has one inode open at most, and the name one more. */
#define INODES 5
#define NONE 0
#define BIT(p) (1 << (p))

/* The directory. */
byte name = NONE;
byte segment = 0;

/* The lock file's inodes: 1 to 4. */
byte users[INODES];
byte recovery_holder[INODES];
byte present[INODES];
bool magic[INODES];
bool dead[INODES];
byte life[INODES];
#ifdef MIXED
#define UNKNOWN 0
#define KERNEL 1
#define WITHOUT 2
byte format[INODES];
byte count[INODES];
bool word[INODES];
#endif

/* State of the model, not of the system: which inode a process uses, and which life of it. */
byte lives = 0;
byte using[PROCESSES];
byte since[PROCESSES];
byte operations = 0;
byte faults = 0;
chan kill[PROCESSES] = [0] of { bit };
bool alive[PROCESSES];

/*
 * What a process is: one that opens next, one that runs, a child that its parent prepares, a child
 * with a slot in the file `inherited`, a child without a slot, or at its end.
 */
#define OPENS 0
#define RUNS 1
#define PREPARED 2
#define BORN 3
#define HEIR 4
#define ENDED 5
byte role[PROCESSES];
byte inherited[PROCESSES];

inline close_inode(who, f)
{
	users[f] = users[f] & (7 - BIT(who));
	present[f] = present[f] & (7 - BIT(who));
	if
	:: recovery_holder[f] == who + 1 -> recovery_holder[f] = 0
	:: else
	fi;
	if
	:: users[f] == 0 && name != f ->
	   magic[f] = false; dead[f] = false; life[f] = 0
#ifdef MIXED
	   ; format[f] = UNKNOWN; count[f] = 0; word[f] = false
#endif
	:: else
	fi
}

inline check_names()
{
	assert(!(using[0] && using[1] && (using[0] != using[1] || since[0] != since[1])));
	assert(!(using[0] && using[2] && (using[0] != using[2] || since[0] != since[2])));
	assert(!(using[1] && using[2] && (using[1] != using[2] || since[1] != since[2])))
}

/*
 * A lock in use is the one that has the name, the life it was opened in, and that life's segment.
 */
inline check_use()
{
	assert(name == f && life[f] == since[me] && segment == since[me] && !dead[f])
}

#ifndef MIXED
inline fork_child()
{
	atomic {
		if
		:: operations < OPS && role[(me + 1) % PROCESSES] == OPENS -> child = (me + 1) % PROCESSES + 1
		:: operations < OPS && role[(me + 2) % PROCESSES] == OPENS -> child = (me + 2) % PROCESSES + 1
		:: true
		fi;
		if
		:: child -> role[child - 1] = PREPARED; operations++
		:: else
		fi
	};
	if
	:: child && name == f ->
	   /* F1 */
	   atomic { users[f] = users[f] | BIT(child - 1) };
#ifndef MUTANT_CLAIMS_FOR_CHILD_WITHOUT_LOCK
	   /* F2 */
	   atomic {
		if
		:: recovery_holder[f] == 0 -> recovery_holder[f] = child
#ifndef NO_BOUND
		:: recovery_holder[f] != 0 -> close_inode(child - 1, f)
#endif
		fi
	   };
#endif
	   if
	   :: users[f] & BIT(child - 1) ->
	      /* F3 */
	      atomic { present[f] = present[f] | BIT(child - 1) };
	      /* F4 */
	      atomic {
		if
		:: recovery_holder[f] == child -> recovery_holder[f] = 0
		:: else
		fi
	      };
	      /* F5 */
	      atomic {
		role[child - 1] = BORN;
		inherited[child - 1] = f;
		since[child - 1] = life[f];
		using[child - 1] = f;
		child = 0;
		check_names()
	      }
	   :: else -> atomic { role[child - 1] = HEIR; since[child - 1] = life[f]; child = 0 }
	   fi
	:: child -> atomic { role[child - 1] = HEIR; since[child - 1] = life[f]; child = 0 }
	:: !child
	fi
}
#endif

/* presence_has_others(): j is PROCESSES then, if there are none. */
inline look()
{
	do
	:: atomic { j < PROCESSES && !(present[f] & BIT(j)) -> j++ }
	:: atomic { j == PROCESSES || (present[f] & BIT(j)) -> break }
	od
}

active [PROCESSES] proctype process()
{
	byte me = _pid;
	byte f;
	byte child; /* that this process prepares, + 1 */
	byte j;
#ifdef MIXED
	byte wish;
	bool is_first;
#endif

restart:
	{
		alive[me] = true;
next:
		atomic {
			if
			:: role[me] == OPENS && operations < OPS -> operations++; role[me] = RUNS
			:: role[me] == OPENS -> role[me] = ENDED; goto finished
#ifndef MIXED
			:: role[me] == BORN -> f = inherited[me]; inherited[me] = 0; role[me] = RUNS; goto used
			:: role[me] == HEIR -> role[me] = RUNS; goto attach
#endif
			fi
		};
again:
#ifdef MIXED
		if
		:: wish = KERNEL
		:: wish = WITHOUT
		fi;
#endif
		/* O1: open by name, created if it is not there */
		atomic {
			if
			:: name != NONE -> f = name
			:: name == NONE ->
			   if
			   :: users[1] == 0 -> f = 1
			   :: users[1] != 0 && users[2] == 0 -> f = 2
			   :: users[1] != 0 && users[2] != 0 && users[3] == 0 -> f = 3
			   :: else -> assert(users[4] == 0); f = 4
			   fi;
			   name = f
			fi;
			users[f] = users[f] | BIT(me)
		};
#ifdef MIXED
		if
		:: wish == WITHOUT -> goto decide
		:: else
		fi;
#endif
#ifndef MUTANT_OPEN_WITHOUT_LOCK
		/* O2 */
		atomic {
			if
			:: recovery_holder[f] == 0 -> recovery_holder[f] = me + 1
#if !defined(MIXED) && !defined(NO_BOUND)
			:: recovery_holder[f] != 0 -> goto closed
#endif
			fi
		};
#endif
#ifdef MIXED
decide:		/* N2 */
#ifdef MUTANT_FORMAT_BY_STORE
		atomic { is_first = format[f] == UNKNOWN };
		atomic {
			if
			:: is_first -> format[f] = wish
			:: else
			fi
		};
#else
		atomic {
			is_first = format[f] == UNKNOWN;
			if
			:: is_first -> format[f] = wish
			:: else
			fi
		};
#endif
		atomic {
			if
#ifdef MUTANT_FORMAT_IGNORED
			:: wish == KERNEL -> goto lock_taken
#else
			:: wish == KERNEL && format[f] == KERNEL -> goto lock_taken
#endif
			:: wish == WITHOUT && format[f] == KERNEL -> goto leave
			:: else -> wish = WITHOUT
			fi
		};
		/* N3 */
		atomic {
			if
			:: recovery_holder[f] == me + 1 -> recovery_holder[f] = 0
			:: else
			fi
		};
		atomic {
			if
			:: is_first || magic[f]
			:: !is_first -> goto leave
			fi
		};
		/* N4 */
		atomic {
			if
			:: !word[f] -> word[f] = true
			:: word[f] -> goto leave
			fi
		};
		/* O3 */
		atomic {
			if
			:: dead[f] || name != f -> word[f] = false; close_inode(me, f); f = 0; goto again
			:: !(dead[f] || name != f) && magic[f] -> goto claim
			:: else -> goto afresh
			fi
		};
lock_taken:
#endif
#ifndef MUTANT_DEAD_IGNORED
		/* O3 */
		atomic {
			if
			:: dead[f]
			:: else -> goto living
			fi
		};
#ifndef MUTANT_DEAD_LEFT
		/* O4: the process that marked it may have died before it unlinked */
		atomic {
			if
#ifdef MUTANT_NAME_NOT_COMPARED
			:: true
#else
			:: name == f
			:: else -> goto reopen
#endif
			fi
		};
		segment = 0;
		name = NONE;
reopen:
#endif
		atomic {
			close_inode(me, f); f = 0;
			if
			:: goto again
#if !defined(MIXED) && !defined(NO_BOUND)
			:: role[me] = OPENS; goto next
#endif
			fi
		};
living:
#endif
#ifndef MUTANT_ALWAYS_AFRESH
		/* O5 */
		atomic {
			if
			:: magic[f]
			:: else -> goto afresh
			fi
		};
		look();
		atomic {
			if
			:: j < PROCESSES -> j = 0; goto claim
			:: else -> j = 0
			fi
		};
#endif
		goto afresh;
#ifndef MIXED
attach:		/* A1 */
		atomic {
			if
			:: name != NONE -> f = name; users[f] = users[f] | BIT(me)
			:: else -> since[me] = 0; role[me] = OPENS; goto next
			fi
		};
		/* A2 */
		atomic {
			if
			:: recovery_holder[f] == 0 -> recovery_holder[f] = me + 1
#ifndef NO_BOUND
			:: recovery_holder[f] != 0 -> since[me] = 0; goto closed
#endif
			fi
		};
#ifndef MUTANT_ATTACH_UNCHECKED
		/* A3 */
		atomic {
			if
			:: magic[f] && life[f] == since[me] && !dead[f]
			:: else -> since[me] = 0; goto closed
			fi
		};
#endif
		/* A4 */
		atomic { present[f] = present[f] | BIT(me); goto opened };
#endif
afresh:		/* O6 */
		magic[f] = false;
		segment = 0;
		atomic { lives++; life[f] = lives };
		segment = life[f];
		magic[f] = true;
claim:		/* O7 */
		atomic {
#ifdef MIXED
			if
			:: wish == KERNEL -> present[f] = present[f] | BIT(me)
			:: else -> count[f]++
			fi;
#else
			present[f] = present[f] | BIT(me);
#endif
			since[me] = life[f]
		};
opened:		/* O8, A5: from here on it is in use */
		atomic {
			if
			:: recovery_holder[f] == me + 1 -> recovery_holder[f] = 0
			:: else
			fi;
#ifdef MIXED
			if
			:: wish == WITHOUT -> word[f] = false
			:: else
			fi;
#endif
			using[me] = f;
			check_names();
			check_use()
		};
#ifndef MIXED
used:
		fork_child();
#endif
		/* C1 */
		atomic {
			check_use();
#if defined(MIXED)
			if
			:: wish == KERNEL && recovery_holder[f] == 0 -> recovery_holder[f] = me + 1
			:: wish == WITHOUT && !word[f] -> word[f] = true
			:: wish == WITHOUT && word[f] -> using[me] = 0; since[me] = 0; goto leave
			fi;
#elif !defined(MUTANT_CLOSE_WITHOUT_LOCK)
			if
			:: recovery_holder[f] == 0 -> recovery_holder[f] = me + 1
#ifdef MUTANT_CLOSE_AFTER_TIMEOUT
			:: recovery_holder[f] != 0
#elif !defined(NO_BOUND)
			:: recovery_holder[f] != 0 -> using[me] = 0; since[me] = 0; goto closed
#endif
			fi;
#endif
			check_use();
			using[me] = 0;
			since[me] = 0
		};
		/* C2 */
#ifdef MIXED
		atomic {
			if
			:: wish == KERNEL -> present[f] = present[f] & (7 - BIT(me))
			:: else -> count[f]--
			fi
		};
#else
		present[f] = present[f] & (7 - BIT(me));
#endif
		/* C3 */
#ifdef MIXED
		atomic {
			if
			:: wish == WITHOUT && count[f] == 0 -> goto last
			:: wish == WITHOUT && count[f] != 0 -> goto closed
			:: else
			fi
		};
#endif
		look();
		atomic {
			if
			:: j < PROCESSES -> j = 0; goto closed
			:: else -> j = 0
			fi
		};
last:
#ifndef MUTANT_NO_DEAD_FLAG
		/* C4 */
		dead[f] = true;
#endif
		/* C5, C6 */
#ifdef MUTANT_NAME_FIRST
		name = NONE;
		segment = 0;
#else
		segment = 0;
		name = NONE;
#endif
closed:		/* C7 */
#ifdef MIXED
		atomic {
			if
			:: wish == WITHOUT -> word[f] = false
			:: else
			fi
		};
leave:
		atomic { is_first = false; wish = 0 };
#endif
		atomic { close_inode(me, f); f = 0; role[me] = OPENS; goto next };
finished:
		atomic {
			f = 0
#ifdef MIXED
			; is_first = false; wish = 0
#endif
		};
end_finished:
		false
	} unless {
		atomic {
			kill[me]?0;
			if
			:: child -> close_inode(child - 1, f); role[child - 1] = OPENS; child = 0
			:: else
			fi;
			if
			:: role[me] == BORN -> close_inode(me, inherited[me]); inherited[me] = 0
			:: else
			fi;
			if
			:: f -> close_inode(me, f)
			:: else
			fi;
			f = 0;
			j = 0;
			if
			:: role[me] != PREPARED -> role[me] = OPENS
			:: else
			fi;
#ifdef MIXED
			is_first = false; wish = 0;
#endif
			using[me] = 0;
			since[me] = 0
		}
	};
	atomic {
		if
		:: operations < OPS || role[me] != OPENS -> goto restart
		:: role[me] == OPENS -> role[me] = ENDED
		fi
	}
}

active proctype host()
{
	byte v;

	do
	:: atomic {
		faults < FAULTS && (alive[0] || alive[1] || alive[2]) ->
		if
		:: alive[0] -> v = 0
		:: alive[1] -> v = 1
		:: alive[2] -> v = 2
		fi;
		faults++;
		alive[v] = false;
		kill[v]!0;
		v = 0
	   }
	:: break
	od
}
