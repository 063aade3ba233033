/*
 * smc's lock and commit: the ticket lock of the lock file, how a dead process's turn is recovered,
 * and how a release is published. Three processes; the host kills one between any two steps, or
 * takes its lock file's descriptor away inside a critical section. tests/model/run checks it.
 * With NO_LOCKS the processes have no kernel locks, and a slot is claimed for each ticket (N1).
 *
 * Proved, for every interleaving of OPS calls and FAULTS faults: there is one holder; a holder
 * finds exactly what was published last, whole releases only, and keeps it while it holds (COMMIT);
 * every call returns while the living processes go on (PROGRESS, weakly fair). There is no time
 * here: a stopped process is one that is not scheduled, so every stall is covered for safety.
 * Progress does not wait for a process that stopped for good outside a call, its abandoned ticket
 * included. It does wait for one that stopped as the holder, as a waiter whose turn came, while
 * claiming, or with the recovery lock. With NO_LOCKS it is proved without deaths: a dead holder's
 * waiters wait.
 *
 * Assumed: memory is sequentially consistent, so ticket_number, turn and the slot words are seq_cst
 * atomics; a slot's generation, state and ticket are one 64-bit word; no process sleeps between two
 * of its steps for exactly a whole lap of the tickets (2^32; here 8, which the runs cross and never
 * complete); a descriptor is not taken away between P1 and P6.
 *
 * The steps. Each is one access to shared memory; "cas x: a -> b" is compare-and-swap. The
 * functions are in common/lock/presence.c, common/lock/ticketlock.c and smc/commit.c.
 *
 * presence_claim()     C1  take the lock on a free slot's byte
 *                      C2  slot = {generation + 1, idle}
 * ticketlock_take()    L1  cas slot: abandoned{t} -> waiting{t}; done: L4. Else slot = claiming
 *                      L2  t = fetch_add ticket_number
 *                      L3  slot = waiting{t}
 *                      L4  turn == t: holder. Else recover (D0), pause, or time out (O1); then L4
 *   time out           O1  slot = abandoned{t}; ETIMEDOUT
 *   try                Y1  seen = turn. Slot abandoned{t}: seen == t: Y2, else Y8. Else Y3
 *                      Y2  cas slot: abandoned{t} -> waiting{t}; done: holder, else Y1
 *                      Y3  ticket_number == seen, else Y8: a process that cannot have the lock
 *                          never claims
 *                      Y4  slot = claiming
 *                      Y5  cas ticket_number: seen -> seen + 1; not done: Y7
 *                      Y6  slot = waiting{seen}; holder
 *                      Y7  slot = idle; EAGAIN
 *                      Y8  recover (D0); EAGAIN, or once more from Y1 if that moved turn
 * recover_turn()       D0  seen = turn, before any slot is read; by a waiter (seen != t) or a try
 *                          (ticket_number != seen): the ticket `seen` is drawn already
 *   presence_is_dead() D1  read each other slot's word: claiming, or waiting{seen}: D2;
 *                          abandoned{seen}: S1; else the next slot. No slot left: dead
 *                      D2  is the slot's byte locked, asked after the word was read? Yes: not dead
 *   skip               S1  presence_drop_abandoned(): cas slot: abandoned{seen} -> idle; not done:
 *                          its owner has resumed it, return
 *                      S2  cas turn: seen -> seen + 1
 *   take_over()        R1  try the recovery lock; not got: return
 *                      R2  turn == seen? Else R5. Check again (D1), all slots
 *                      R4  cas turn: seen -> seen + 1. The segment's table is not touched
 *                      R5  unlock the recovery lock
 * commit_run()         P1  is the descriptor still the lock file, the turn ours? EBADF, ESTALE
 *                      P2  grants != committed: clear each table entry above committed
 *                          (segment_clear(); only the holder does it, so it hits no other process)
 *                      P3  g = ++grants
 *                      P4  for each dirty block: write its data into the slot that is not current,
 *                      P5  then that slot's entry = {g, iv}
 *                      P6  committed = g: published. A failure before P6 publishes nothing
 * ticketlock_release() U1  cas turn: t -> t + 1; not done: we had been taken for dead
 *                      U2  slot = idle
 *
 * Without kernel locks there is no C1, C2, D2, R1 to R5: no turn is found dead. Instead of L1's and
 * Y4's claiming:
 *
 * presence_begin()     N1  cas slot: idle -> claiming, of any slot. None is idle: a try is over; a
 *                          lock recovers (D0), and N1 again
 *
 * The slot is given back by U2, Y7, or the skip (S1) of the abandoned ticket in it. So L1 and Y2
 * compare the ticket, and in the code the slot's generation: the slot may be another process's.
 *
 * Why S2 and R4 move a turn that no process can hold: a slot names every drawn ticket from before
 * it is drawn (claiming, L1) until its release has ended (U2), or its process is dead; `seen` was
 * drawn before the check began, so a slot that is idle, or claims only after it was read, has a
 * later one.
 */
#ifndef OPS
#define OPS 4
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#define PROCESSES 3
#define LAP 8
#define START 6
#define NEXT(x) (((x) + 1) % LAP)

/* Mutants: each takes one rule out. */
#ifdef MUTANT_RELEASE_INCREMENT
#define RELEASE_MAY_MOVE true
#else
#define RELEASE_MAY_MOVE turn == ticket
#endif
#ifdef MUTANT_SKIP_INCREMENT
#define SKIP_MAY_MOVE true
#else
#define SKIP_MAY_MOVE turn == seen
#endif
#ifdef MUTANT_TAKEOVER_INCREMENT
#define TAKEOVER_MAY_MOVE true
#else
#define TAKEOVER_MAY_MOVE turn == seen
#endif
#ifdef MUTANT_NO_CLAIMING
#define ANNOUNCED IDLE
#else
#define ANNOUNCED CLAIMING
#endif
#ifdef NO_LOCKS
#define SLOTS 2
#define NONE SLOTS
#define OWN own
#define HAS_LEFT own != NONE && turn == kept
#define GIVE_BACK() own = NONE; kept = 0
#define KEEP(t) kept = t
#else
#define SLOTS PROCESSES
#define OWN me
#define GIVE_BACK() skip
#define KEEP(t) skip
#endif
#if defined(MUTANT_REUSE_BY_STORE)
#define STILL_MINE left
#define SET_LEFT(value) left = value
#else
#define SET_LEFT(value) skip
#ifndef NO_LOCKS
#define STILL_MINE state[me] == ABANDONED
#else
#define STILL_MINE (own != NONE && state[own] == ABANDONED && named[own] == kept)
#endif
#endif
#ifdef MUTANT_NO_PRESENCE_CHECK
#define MAY_COMMIT true
#else
#define MAY_COMMIT alive[me]
#endif

#ifdef MUTANT_CLEAR_BY_TAKEOVER
#define WRITE_FAILS false
#else
#define WRITE_FAILS faults < FAULTS
#endif

#define IDLE 0
#define CLAIMING 1
#define WAITING 2
#define ABANDONED 3

/* The lock file. A slot's state and ticket are one word; alive is the lock on the slot's byte. */
byte ticket_number = START;
byte turn = START;
byte state[SLOTS];
byte named[SLOTS];
bool alive[PROCESSES] = true;
byte recovery = 0;

/* State of the model, not of the system. */
byte operations = 0;
byte faults = 0;
byte holders = 0;
bool inside[PROCESSES];
chan kill[PROCESSES] = [0] of { bit };

#ifdef COMMIT
/*
 * Two blocks of two slots. A slot's table entry is its version; its data is the grant that wrote
 * it.
 */
byte grants = 0;
byte committed = 0;
byte version[4];
byte content[4];
byte published[2];
bool committing[PROCESSES];

#define VISIBLE(e) (version[e] <= committed)
#define CURRENT(b) ((b) * 2 + ((VISIBLE((b) * 2 + 1) && (!VISIBLE((b) * 2) || version[(b) * 2 + 1] > version[(b) * 2])) -> 1 : 0))
#define OTHER(b) ((b) * 4 + 1 - CURRENT(b))
#ifdef MUTANT_WRITES_CURRENT
#define TARGET(b) CURRENT(b)
#else
#define TARGET(b) OTHER(b)
#endif

inline check_segment()
{
	assert(version[CURRENT(0)] == published[0] && content[CURRENT(0)] == published[0]);
	assert(version[CURRENT(1)] == published[1] && content[CURRENT(1)] == published[1])
}

inline clear_entry(e)
{
	atomic {
		if
		:: version[e] > committed -> version[e] = 0
		:: else
		fi
	}
}

inline clear_entries()
{
	clear_entry(0);
	clear_entry(1);
	clear_entry(2);
	clear_entry(3)
}

inline publish()
{
	committed = g;
	if
	:: dirty & 1 -> published[0] = g
	:: else
	fi;
	if
	:: dirty & 2 -> published[1] = g
	:: else
	fi
}
#else
#define check_segment() skip
#endif

#ifdef COMMIT
#define MAY_LOSE(v) !committing[v]
#else
#define MAY_LOSE(v) true
#endif

inline leave_inside(who)
{
	if
	:: inside[who] -> inside[who] = false; holders--
	:: else
	fi
}

inline forget()
{
	op = 0;
	ticket = 0;
	seen = 0;
	j = 0;
	under = false;
	GIVE_BACK();
	SET_LEFT(false)
}

#ifdef NO_LOCKS
/* N1. own is NONE when no slot is idle. */
inline claim()
{
	atomic {
		if
		:: state[0] == IDLE -> own = 0
		:: state[0] != IDLE && state[1] == IDLE -> own = 1
		:: else -> GIVE_BACK()
		fi;
#ifdef MUTANT_CLAIM_BY_STORE
	};
	atomic {
#endif
		if
		:: own != NONE -> state[own] = CLAIMING; named[own] = 0
		:: else
		fi
	}
}
#endif

#define LOCK 0
#define TRY 1
#define TIMED 2

active [PROCESSES] proctype process()
{
	byte me = _pid;
	byte op;
	byte ticket;
	byte seen;
	byte j;
	bool under;
#ifdef MUTANT_REUSE_BY_STORE
	bool left;
#endif
#ifdef COMMIT
	byte g;
	byte dirty;
#endif
#ifdef NO_LOCKS
	byte own = NONE; /* the slot of our ticket, also of an abandoned one */
	byte kept;       /* the abandoned ticket */
#endif

	goto next;
restart:
	{
		/* C1 */
		alive[me] = true;
#ifndef NO_LOCKS
		/* C2 */
		atomic { state[me] = IDLE; named[me] = 0 };
#endif
next:
		atomic {
			if
			:: operations < OPS ->
			   operations++;
			   if
			   :: op = LOCK
#if !defined(COMMIT) || defined(WITH_TRIES)
			   :: op = TRY; goto try
			   :: op = TIMED
#endif
			   fi
			:: true -> goto finished
			fi
		};

		/* L1 */
		atomic {
			if
			:: STILL_MINE ->
			   ticket = named[OWN]; state[OWN] = WAITING; SET_LEFT(false); goto wait
#ifdef NO_LOCKS
			:: else -> GIVE_BACK()
#else
			:: else -> state[me] = ANNOUNCED; named[me] = 0; SET_LEFT(false)
#endif
			fi
		};
#ifdef NO_LOCKS
begin:		claim();
		if
		:: own == NONE -> atomic { seen = turn; goto recover }
		:: else
		fi;
#endif
		/* L2 */
		atomic { ticket = ticket_number; ticket_number = NEXT(ticket_number) };
		/* L3 */
		atomic { state[OWN] = WAITING; named[OWN] = ticket };
wait:		/* L4 */
		atomic {
			if
			:: turn == ticket -> goto hold
			:: turn != ticket -> seen = turn; goto recover
			:: turn != ticket && op == TIMED
			fi
		};
		/* O1 */
		atomic { state[OWN] = ABANDONED; KEEP(ticket); SET_LEFT(true); goto over };

try:		/* Y1 */
		atomic {
			seen = turn;
			if
#ifdef NO_LOCKS
			:: HAS_LEFT
#else
			:: state[me] == ABANDONED ->
			   if
			   :: turn == named[me]
			   :: else -> goto recover
			   fi
#endif
			:: else -> goto try_new
			fi
		};
		/* Y2 */
		atomic {
			if
			:: STILL_MINE ->
			   ticket = named[OWN]; state[OWN] = WAITING; SET_LEFT(false); goto hold
			:: else -> GIVE_BACK(); SET_LEFT(false); goto try
			fi
		};
try_new:
#ifndef MUTANT_TRY_CLAIMS_FIRST
		/* Y3 */
		atomic {
			if
			:: ticket_number == seen
			:: else -> goto recover
			fi
		};
#endif
#ifdef NO_LOCKS
		claim();
		if
		:: own == NONE -> goto over
		:: else
		fi;
#else
		/* Y4 */
		atomic { state[me] = ANNOUNCED; named[me] = 0 };
#endif
		/* Y5 */
		atomic {
			if
			:: ticket_number == seen -> ticket = seen; ticket_number = NEXT(ticket_number)
			:: else -> goto try_lost
			fi
		};
		/* Y6 */
		atomic { state[OWN] = WAITING; named[OWN] = ticket; goto hold };
try_lost:	/* Y7 */
		atomic { state[OWN] = IDLE; GIVE_BACK(); goto recovered };

recover:	/* D1; D0 was the read of turn */
		atomic {
#ifdef MUTANT_TRY_NEVER_RECOVERS
			if
			:: op == TRY -> goto recovered
			:: else
			fi;
#endif
#ifndef NO_LOCKS
			if
			:: j == me -> j++
			:: else
			fi;
#endif
			if
#if defined(NO_LOCKS) && !defined(MUTANT_UNSEEN_IS_DEAD)
			:: j >= SLOTS -> goto recovered
#else
			:: j >= SLOTS -> j = 0; goto dead
#endif
			:: else
			fi;
			if
#ifndef NO_LOCKS
			:: state[j] == CLAIMING || (state[j] == WAITING && named[j] == seen)
#endif
			:: state[j] == ABANDONED && named[j] == seen -> goto pass
			:: else -> j++; goto recover
			fi
		};
#ifndef NO_LOCKS
		/* D2 */
		atomic {
			if
			:: alive[j] -> goto recovered
			:: else -> j++; goto recover
			fi
		};
#endif
dead:		/* R1, or the second check is done */
		atomic {
			if
			:: under -> goto take_over
			:: !under && recovery == 0 -> recovery = me + 1; under = true
			:: !under && recovery != 0 -> goto recovered
			fi
		};
		/* R2 */
		atomic {
			if
			:: turn == seen -> goto recover
			:: else -> goto recovered
			fi
		};
take_over:
#if defined(COMMIT) && defined(MUTANT_CLEAR_BY_TAKEOVER)
		clear_entries();
#endif
		/* R4 */
		atomic {
			if
			:: TAKEOVER_MAY_MOVE -> turn = NEXT(turn)
			:: else
			fi;
			goto recovered
		};
pass:		/* S1 */
		atomic {
#ifdef MUTANT_NO_SKIP
			goto recovered;
#endif
			if
			:: state[j] == ABANDONED && named[j] == seen
#ifndef MUTANT_SKIP_LEAVES_SLOT
			   -> state[j] = IDLE; named[j] = 0
#endif
			:: else -> goto recovered
			fi
		};
		/* S2 */
		atomic {
			if
			:: SKIP_MAY_MOVE -> turn = NEXT(turn)
			:: else
			fi
		};
recovered:	/* R5 */
		atomic {
			if
			:: under -> recovery = 0; under = false
			:: else
			fi;
			seen = 0; j = 0;
			if
#ifdef NO_LOCKS
			:: op != TRY && own == NONE -> goto begin
			:: op != TRY && own != NONE -> goto wait
#else
			:: op != TRY -> goto wait
#endif
#ifdef PROGRESS
			:: op == TRY -> goto try
#else
			:: op == TRY -> goto over
#endif
			fi
		};

hold:		/* reads the segment, and decides which blocks to change */
		atomic {
			seen = 0;
			holders++;
			inside[me] = true;
			assert(holders == 1);
			check_segment()
#ifdef COMMIT
			;
			if
			:: dirty = 1
			:: dirty = 3
			:: goto release
			fi
#endif
		};
#ifdef COMMIT
		/* P1 */
		atomic {
			if
			:: MAY_COMMIT -> committing[me] = true
			:: else -> dirty = 0; goto release
			fi;
			if
			:: grants == committed -> goto draw
			:: else
			fi
		};
#if !defined(MUTANT_NO_CLEARING) && !defined(MUTANT_CLEAR_BY_TAKEOVER)
		/* P2 */
		clear_entries();
#endif
draw:		/* P3 */
		atomic { grants++; g = grants };
#ifdef MUTANT_COMMITTED_FIRST
		atomic { publish() };
#endif
		/* P4, P5 */
		atomic { content[TARGET(0)] = g };
		atomic { version[TARGET(0)] = g };
		if
		:: dirty & 2 ->
		   atomic { content[TARGET(1)] = g };
		   atomic { version[TARGET(1)] = g }
		:: else
		fi;
		/* P6, or the write failed */
		atomic {
			if
#ifndef MUTANT_COMMITTED_FIRST
			:: publish()
			:: WRITE_FAILS -> faults++
#else
			:: skip
#endif
			fi;
			g = 0; dirty = 0; committing[me] = false
		};
#endif
release:	/* U1 */
		atomic {
			if
			:: inside[me] -> check_segment()
			:: else
			fi;
			leave_inside(me);
			if
			:: RELEASE_MAY_MOVE -> turn = NEXT(turn)
			:: else
			fi
		};
		/* U2 */
		atomic {
			if
			:: alive[me] -> state[OWN] = IDLE; named[OWN] = 0; GIVE_BACK()
			:: else -> goto finished
			fi
		};
over:
		atomic { op = 0; ticket = 0; goto next };
finished:
		atomic { forget() };
end_finished:
		false
	} unless {
		atomic {
			kill[me]?0;
			forget()
#ifdef COMMIT
			;
			g = 0; dirty = 0
#endif
		}
	};
	if
	:: operations < OPS -> goto restart
	:: true
	fi
}

/* The host kills a process between any two steps, or takes its lock file's descriptor away. */
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
		if
		:: true ->
		   leave_inside(v);
		   if
		   :: recovery == v + 1 -> recovery = 0
		   :: else
		   fi;
#ifdef COMMIT
		   committing[v] = false;
#endif
		   kill[v]!0
#ifndef NO_LOCKS
		:: inside[v] && MAY_LOSE(v) -> leave_inside(v)
#endif
		fi;
		v = 0
	   }
	:: break
	od
}
