/*
 * smc's lock and commit: the ticket lock of the lock file, how a dead process's turn is recovered,
 * and how a release is published. Three processes; the host kills one between any two steps, closes
 * its descriptors, or moves the turn on although it holds the lock. tests/model/run checks it. With
 * NO_LOCKS the processes have no kernel locks, and a slot is claimed for each ticket (N1). With
 * STORE_BUFFER the other processes see the stores of presence_set() late.
 *
 * Proved, for every interleaving of OPS calls and FAULTS faults: there is one holder; a holder
 * finds exactly what was published last, whole releases only, and keeps it while it holds (COMMIT);
 * every call returns while the living processes go on (PROGRESS, weakly fair). There is no time
 * here: a stopped process is one that is not scheduled, so every stall is covered for safety.
 * Progress does not wait for a process that stopped for good outside a call, its abandoned ticket
 * included. It does wait for one that stopped as the holder, as a waiter whose turn came, while
 * claiming, or with the recovery lock, and for one that lost its descriptors while it had the
 * recovery lock: its mapping keeps that locked. With NO_LOCKS it is proved without deaths: a dead
 * holder's waiters wait.
 *
 * Assumed: the atomics behave as if memory were sequentially consistent, but for the slot words
 * (below); a slot's generation, state and ticket are one 64-bit word; no process sleeps between two
 * of its steps for exactly a whole lap of the tickets (2^32; here 8, which the runs cross and never
 * complete); between P1 and P6 no descriptor is closed, and the turn is not moved; ticketlock_take()
 * and ticketlock_release() of one process never overlap (a mutant shows why).
 *
 * The words. ticket_number and turn are seq_cst atomics. A slot is read by seq_cst loads, and
 * written by compare-and-swap and by presence_claim() as such; presence_set() is a release store,
 * which a processor may keep to itself until its next read-modify-write (drain()). L2 and Y5 are
 * such, so claiming is seen before the ticket is drawn. In terms of C11: a process that knows that
 * a ticket is drawn has read ticket_number from that addition or a later one, so the store of
 * claiming happens before its reads of the slot. Every later store may be seen late: until then the
 * slot says claiming or waiting, and the others wait.
 *
 * The steps. Each is one access to shared memory; "cas x: a -> b" is compare-and-swap. The
 * functions are in common/lock/presence.c, common/lock/ticketlock.c and smc/commit.c.
 *
 * presence_claim()     C1  take the lock on a free slot's byte
 *                      C2  slot = {generation + 1, idle}
 * ticketlock_take()    L1  with an abandoned ticket t, cas slot: abandoned{t} -> waiting{t}; done:
 *                          L4. Else slot = claiming
 *                      L2  t = fetch_add ticket_number
 *                      L3  slot = waiting{t}
 *                      L4  turn == t: holder. Else recover (D0), pause, or time out (O1); then L4
 *   time out           O1  slot = abandoned{t}. So does a process without its descriptor (EBADF), and
 *                          one where another thread closes the handle (a call that is TIMED)
 *                      O2  turn == t, else ETIMEDOUT
 *                      O3  cas slot: abandoned{t} -> waiting{t}; done: holder, else ETIMEDOUT
 *   try                Y1  seen = turn. With an abandoned ticket t, t == seen: Y2. Else Y3
 *                      Y2  cas slot: abandoned{t} -> waiting{t}; done: holder. Not done: the ticket
 *                          has been skipped: Y3
 *                      Y3  ticket_number == seen, else Y8: a process that cannot have the lock
 *                          never claims. If they are equal an abandoned ticket has been skipped
 *                      Y4  slot = claiming
 *                      Y5  cas ticket_number: seen -> seen + 1; not done: Y7
 *                      Y6  slot = waiting{seen}; holder
 *                      Y7  slot = idle; EAGAIN
 *                      Y8  recover (D0); EAGAIN, or once more from Y1 if that moved turn
 * recover_turn()       D0  seen = turn, before any slot is read; by a waiter (seen != t) or a try
 *                          (ticket_number != seen): the ticket `seen` is drawn already
 *   skip               S1  presence_drop_abandoned(): read each slot's word: abandoned{seen}: S2;
 *                          no such slot: D1
 *                      S2  cas slot: abandoned{seen} -> idle; not done: its owner has resumed it:
 *                          D1
 *                      S3  cas turn: seen -> seen + 1; return
 *   presence_is_dead() D1  read each other slot's word: claiming, or waiting{seen}: D2;
 *                          abandoned{seen}: not dead; else the next slot
 *                      D2  is the slot's byte locked, asked after the word was read? Yes: not dead
 *                      D3  no slot is left: dead, if the descriptor that asked is the lock file's
 *   take_over()        R1  try the recovery lock; not got, or no descriptor: return
 *                      R2  turn == seen? Else R5
 *                      R3  check again (D1 to D3), all slots; not dead: R5
 *                      R4  cas turn: seen -> seen + 1. The segment's table is not touched
 *                      R5  unlock the recovery lock
 * commit_run()         P1  are the descriptors still ours (EBADF), and the turn (ESTALE)?
 *                      P2  grants != committed: clear each table entry above committed
 *                          (segment_clear(); only the holder does it, so it hits no other process)
 *                      P3  g = ++grants
 *                      P4  for each dirty block: write its data into the slot that is not current,
 *                      P5  then that slot's entry = {g, iv}
 *                      P6  committed = g: published. A failure before P6 publishes nothing
 * ticketlock_release() U1  cas turn: t -> t + 1; not done: the turn has been moved on (ESTALE)
 *                      U2  slot = idle, in both cases: the slot is ours as long as our mapping is
 * presence_release()   G1  slot = idle, whatever it says; an abandoned ticket is dead then
 *                      G2  unlock the slot's byte. A close that waited 10 s for the recovery lock
 *                          leaves G1 out. The mapping ends
 *
 * Without kernel locks there is no C1, C2, D1 to D3, R1 to R5: no turn is found dead. A process
 * leaves (G) without a step, and its abandoned ticket keeps the slot. Instead of L1's and Y4's
 * claiming:
 *
 * presence_begin()     N1  cas slot: idle -> claiming, of the first slot where that is done. None:
 *                          a try is over; a lock recovers (D0), and N1 again, or times out
 *
 * The slot is given back by U2, Y7, or the skip (S2) of the abandoned ticket in it. So L1, Y2 and
 * O3 compare the ticket, and in the code the slot's generation: the slot may be another process's.
 *
 * Why S3 and R4 move a turn that no process can hold: a slot names every drawn ticket from before
 * it is drawn (claiming, L1) until its release has ended (U2), or its process is dead or has given
 * it up (G1); `seen` was drawn before the check began, so a slot that is idle, or claims only after
 * it was read, has a later one. A descriptor that is closed changes nothing here: the mapping keeps
 * the description, and so the lock on the slot's byte.
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
#ifdef MUTANT_BLIND_ASKS
#define CAN_ASK true
#else
#define CAN_ASK (!blind[me])
#endif
#ifdef MUTANT_NO_DESCRIPTOR_CHECK
#define HAS_DESCRIPTOR true
#else
#define HAS_DESCRIPTOR !blind[me]
#endif
#ifdef MUTANT_NO_TURN_CHECK
#define HAS_TURN true
#else
#define HAS_TURN turn == ticket
#endif
#ifdef MUTANT_TRY_RESUMES_EARLY
#define IS_SERVED true
#else
#define IS_SERVED ticket == seen
#endif
#ifdef MUTANT_REUSE_BY_STORE
#define STILL_LEFT left
#else
#define STILL_LEFT left && own != NONE && state[own] == ABANDONED && named[own] == ticket
#endif
#ifdef MUTANT_SECOND_LOOK_BY_STORE
#define STILL_MINE left
#else
#define STILL_MINE STILL_LEFT
#endif
#ifdef MUTANT_CLEAR_BY_TAKEOVER
#define WRITE_FAILS false
#else
#define WRITE_FAILS faults < FAULTS
#endif
#ifdef MUTANT_DRAW_WITHOUT_FENCE
#define DRAIN_BEFORE_DRAWING() skip
#else
#define DRAIN_BEFORE_DRAWING() drain(own)
#endif

#ifdef NO_LOCKS
#define SLOTS 2
#define GIVE_BACK() own = NONE
#else
#define SLOTS PROCESSES
#define GIVE_BACK() skip
#endif
#define NONE SLOTS

#define IDLE 0
#define CLAIMING 1
#define WAITING 2
#define ABANDONED 3

/* The lock file. A slot's state and ticket are one word; present is the lock on the slot's byte. */
byte ticket_number = START;
byte turn = START;
byte state[SLOTS];
byte named[SLOTS];
#ifndef NO_LOCKS
bool present[SLOTS] = true;
byte recovery = 0;
#endif

/* What a processor has stored into a slot and the others do not see yet. */
#ifdef STORE_BUFFER
bool is_late[SLOTS];
byte late_state[SLOTS];
byte late_named[SLOTS];
#endif

/* State of the model, not of the system. */
byte operations = 0;
byte faults = 0;
byte holders = 0;
bool alive[PROCESSES] = true;
bool blind[PROCESSES]; /* the descriptors of its files are closed */
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

/* P4, P5. A process without its descriptors would write into a file of the program. */
inline write_block(b)
{
	atomic {
		if
		:: !blind[me] -> content[TARGET(b)] = g
		:: else
		fi
	};
	atomic {
		if
		:: !blind[me] -> version[TARGET(b)] = g
		:: else
		fi
	}
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
#define MAY_LOSE(v) inside[v] && !committing[v]
#else
#define MAY_LOSE(v) true
#endif
#ifdef PROGRESS
#define MAY_BE_BLIND(v) recovery != v + 1
#else
#define MAY_BE_BLIND(v) true
#endif

/* presence_set() */
inline set_slot(value, number)
{
#ifdef STORE_BUFFER
	is_late[own] = true;
	late_state[own] = value;
	late_named[own] = number
#else
	state[own] = value;
	named[own] = number
#endif
}

/* Before a read-modify-write the stores of its process are done. */
inline drain(slot)
{
#ifdef STORE_BUFFER
	if
	:: slot != NONE && is_late[slot] ->
	   state[slot] = late_state[slot];
	   named[slot] = late_named[slot];
	   is_late[slot] = false;
	   late_state[slot] = 0;
	   late_named[slot] = 0
	:: else
	fi
#else
	skip
#endif
}

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
	left = false;
	seen = 0;
	j = 0;
	under = false;
	moved = false;
	GIVE_BACK()
}

/* The process ends, or its mapping does. */
inline lose_slot()
{
	drain(own);
#ifndef NO_LOCKS
	if
	:: own != NONE -> present[own] = false
	:: else
	fi;
	own = NONE;
	blind[me] = false;
	if
	:: recovery == me + 1 -> recovery = 0
	:: else
	fi;
#endif
	alive[me] = false;
	forget()
}

#define LOCK 0
#define TRY 1
#define TIMED 2

active [PROCESSES] proctype process()
{
	byte me = _pid;
	byte op;
	byte ticket; /* also an abandoned one */
	bool left;   /* is_abandoned */
	byte seen;
	byte j;
	bool under;  /* has the recovery lock */
	bool moved;
#ifdef COMMIT
	byte g;
	byte dirty;
#endif
#ifdef NO_LOCKS
	byte own = NONE; /* the slot of our ticket */
#else
	byte own = _pid;
#endif

	goto next;
restart:
	{
		/* C1 */
		atomic {
			alive[me] = true;
#ifndef NO_LOCKS
			if
			:: !present[0] -> own = 0
			:: present[0] && !present[1] -> own = 1
			:: else -> own = 2
			fi;
			assert(!present[own]);
			present[own] = true
#endif
		};
#ifndef NO_LOCKS
		/* C2 */
		atomic { state[own] = IDLE; named[own] = 0 };
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
			   :: goto leave
#endif
			   fi
			:: true -> goto finished
			fi
		};

		/* L1 */
		atomic {
			if
			:: left ->
			   drain(own);
			   if
			   :: STILL_LEFT -> state[own] = WAITING; left = false; goto wait
			   :: else -> left = false; GIVE_BACK()
			   fi
			:: else
			fi;
#ifndef NO_LOCKS
			set_slot(ANNOUNCED, 0)
#endif
		};
#ifdef NO_LOCKS
begin:		/* N1 */
		atomic {
			if
			:: j >= SLOTS -> j = 0; seen = turn; goto recover
			:: j < SLOTS && state[j] == IDLE
			:: else -> j++; goto begin
			fi
#ifdef MUTANT_CLAIM_BY_STORE
		};
		atomic {
#else
			;
#endif
			own = j; j = 0; state[own] = CLAIMING; named[own] = 0
		};
#endif
		/* L2 */
		atomic {
			DRAIN_BEFORE_DRAWING();
			ticket = ticket_number; ticket_number = NEXT(ticket_number)
		};
		/* L3 */
		atomic { set_slot(WAITING, ticket) };
wait:		/* L4 */
		atomic {
			if
			:: turn == ticket -> goto hold
			:: turn != ticket -> seen = turn; goto recover
			:: turn != ticket && op == TIMED
#ifdef MUTANT_RELEASE_BY_A_WAITER
			:: turn != ticket -> set_slot(IDLE, 0); goto wait
#endif
			fi
		};
time_out:	/* O1 */
		atomic { set_slot(ABANDONED, ticket); left = true };
		/* O2 */
		atomic {
			if
			:: turn == ticket
			:: else -> goto over
			fi
		};
		/* O3 */
		atomic {
			drain(own);
			if
			:: STILL_MINE -> state[own] = WAITING; named[own] = ticket; left = false; goto hold
			:: else -> left = false; GIVE_BACK(); goto over
			fi
		};

try:		/* Y1 */
		atomic {
			seen = turn;
			if
			:: left && IS_SERVED
			:: else -> goto try_new
			fi
		};
		/* Y2 */
		atomic {
			drain(own);
			if
			:: STILL_LEFT -> state[own] = WAITING; left = false; goto hold
			:: else -> left = false; GIVE_BACK()
			fi
		};
try_new:
#ifndef MUTANT_TRY_CLAIMS_FIRST
		/* Y3 */
		atomic {
			if
			:: ticket_number == seen -> left = false; GIVE_BACK()
			:: else -> goto recover
			fi
		};
#endif
#ifdef NO_LOCKS
try_begin:	/* N1 */
		atomic {
			if
			:: j >= SLOTS -> j = 0; goto over
			:: j < SLOTS && state[j] == IDLE
			:: else -> j++; goto try_begin
			fi;
			own = j; j = 0; state[own] = CLAIMING; named[own] = 0
		};
#else
		/* Y4 */
		atomic { set_slot(ANNOUNCED, 0) };
#endif
		/* Y5 */
		atomic {
			DRAIN_BEFORE_DRAWING();
			if
			:: ticket_number == seen -> ticket = seen; ticket_number = NEXT(ticket_number)
			:: else -> goto try_lost
			fi
		};
		/* Y6 */
		atomic { set_slot(WAITING, ticket); goto hold };
try_lost:	/* Y7 */
		atomic { set_slot(IDLE, 0); GIVE_BACK(); goto recovered };

recover:	/* S1; D0 was the read of turn. A ticket is in one slot at most. */
		atomic {
#ifdef MUTANT_TRY_NEVER_RECOVERS
			if
			:: op == TRY -> goto recovered
			:: else
			fi;
#endif
#ifdef MUTANT_NO_SKIP
			goto check;
#endif
			if
			:: state[0] == ABANDONED && named[0] == seen -> j = 0
			:: state[1] == ABANDONED && named[1] == seen -> j = 1
#ifndef NO_LOCKS
			:: state[2] == ABANDONED && named[2] == seen -> j = 2
#endif
			:: else -> goto check
			fi
		};
		/* S2 */
		atomic {
			drain(own);
			if
			:: state[j] == ABANDONED && named[j] == seen
#ifndef MUTANT_SKIP_LEAVES_SLOT
			   -> state[j] = IDLE; named[j] = 0
#endif
#ifndef MUTANT_SKIP_RESUMED
			:: else -> j = 0; goto check
#else
			:: else
#endif
			fi
		};
		/* S3 */
		atomic {
			if
			:: SKIP_MAY_MOVE -> turn = NEXT(turn); moved = true
			:: else
			fi;
			goto recovered
		};
check:		/* D1 */
#ifdef NO_LOCKS
#ifndef MUTANT_UNSEEN_IS_DEAD
		atomic { goto recovered };
#else
		atomic {
			if
			:: turn == seen -> turn = NEXT(turn); moved = true
			:: else
			fi;
			goto recovered
		};
#endif
#else
		atomic {
			if
			:: j == own -> j++
			:: else
			fi;
			if
			:: j >= SLOTS -> j = 0; goto dead
			:: else
			fi;
			if
			:: state[j] == CLAIMING || (state[j] == WAITING && named[j] == seen)
#ifndef MUTANT_ABANDONED_IS_DEAD
			:: state[j] == ABANDONED && named[j] == seen -> goto recovered
#endif
			:: else -> j++; goto check
			fi
		};
		/* D2. A program's file, under the number of our descriptor, has no locks. */
		atomic {
			if
			:: present[j] && !blind[me] -> goto recovered
			:: !present[j] || blind[me] -> j++; goto check
			:: blind[me] -> goto recovered
			fi
		};
dead:		/* D3, R1; or D3, and the second check is done */
		atomic {
			if
			:: !CAN_ASK -> goto recovered
			:: CAN_ASK && under -> goto take_over
			:: CAN_ASK && !under && blind[me] -> under = true
			:: CAN_ASK && !under && !blind[me] && recovery == 0 -> recovery = me + 1; under = true
			:: else -> goto recovered
			fi
		};
		/* R2, R3 */
		atomic {
			if
			:: turn == seen -> goto check
			:: else -> goto recovered
			fi
		};
take_over:
#if defined(COMMIT) && defined(MUTANT_CLEAR_BY_TAKEOVER)
		clear_entries();
#endif
		/* R4 */
		atomic {
			drain(own);
			if
			:: TAKEOVER_MAY_MOVE -> turn = NEXT(turn); moved = true
			:: else
			fi;
			goto recovered
		};
#endif
recovered:	/* R5 */
		atomic {
#ifndef NO_LOCKS
			if
			:: under && recovery == me + 1 && !blind[me] -> recovery = 0
			:: else
			fi;
			under = false;
#endif
			seen = 0; j = 0;
			if
			:: op == TRY && moved -> moved = false; goto try
#ifdef PROGRESS
			:: op == TRY && !moved && !blind[me] -> goto try
			:: op == TRY && !moved && blind[me] -> goto over
#else
			:: op == TRY && !moved -> goto over
#endif
#ifdef NO_LOCKS
			:: op != TRY && own == NONE -> moved = false; goto begin
			:: op == TIMED && own == NONE && !moved -> goto over
#else
			:: op != TRY && blind[me] && !moved -> goto time_out
#endif
			:: op != TRY && own != NONE && (moved || !blind[me]) -> moved = false; goto wait
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
			:: HAS_DESCRIPTOR && HAS_TURN -> committing[me] = true
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
		write_block(0);
		if
		:: dirty & 2 -> write_block(1)
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
			drain(own);
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
		atomic { set_slot(IDLE, 0); GIVE_BACK() };
over:
		atomic {
			op = 0; moved = false;
			if
			:: !left -> ticket = 0
			:: else
			fi;
			goto next
		};

leave:
#ifndef NO_LOCKS
#ifndef MUTANT_LEAVES_TOO_LATE
		/* G1 */
		atomic {
			if
			:: set_slot(IDLE, 0)
			:: true
			fi
		};
		/* G2 */
		atomic { lose_slot(); goto restart };
#else
		present[own] = false;
		set_slot(IDLE, 0);
		atomic { own = NONE; lose_slot(); goto restart };
#endif
#else
		atomic { lose_slot(); goto restart };
#endif
finished:
		atomic {
			op = 0; ticket = 0; left = false; GIVE_BACK()
		};
end_finished:
		false
	} unless {
		atomic {
			kill[me]?0;
			lose_slot()
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

#ifdef STORE_BUFFER
active proctype memory()
{
end:
	do
	:: atomic { is_late[0] -> drain(0) }
	:: atomic { is_late[1] -> drain(1) }
#ifndef NO_LOCKS
	:: atomic { is_late[2] -> drain(2) }
#endif
	od
}
#endif

/*
 * The host kills a process between any two steps. With ONLY_KILLS that is all; else a program closes
 * the descriptors of its files, and the turn is moved on over a living holder, as by a host that
 * writes.
 */
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
		if
		:: true ->
		   leave_inside(v);
#ifdef COMMIT
		   committing[v] = false;
#endif
		   kill[v]!0
#ifndef ONLY_KILLS
#ifndef NO_LOCKS
		:: !blind[v] && MAY_LOSE(v) && MAY_BE_BLIND(v) -> blind[v] = true
#endif
		:: inside[v] && MAY_LOSE(v) -> leave_inside(v); turn = NEXT(turn)
#endif
		fi;
		v = 0
	   }
	:: break
	od
}
