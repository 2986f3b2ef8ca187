/* lease.pml - the leases of several nodes (doc/store.md, "Several nodes"), for Promela's checker spin.
 *
 * One recipient of one message waits in the queue of two machines. Each machine is a store, which is a node of the
 * database, and a courier, which sends. A node says from time to time that it lives; who was silent for LIFE is buried
 * by the other: its leases end. A courier is told with its leases until when they hold. Any of them may be stopped
 * between two steps, for as long as it likes, and go on; a courier, a store, or both may die; of a commit the reply may
 * be lost, which ends the store. A store that starts again is another node, and its courier goes on with what it has.
 *
 * What must hold: who begins to send has the lease; a result counts once, and only with its lease; and the peer gets
 * the message twice only when a courier died, or its machine was silent for too long, between the peer's acceptance
 * and the result, or in the middle of sending.
 *
 * `wrong` is 0, or one of the mistakes below: test/model/run checks that all is well without one, and that each is found.
 */
#ifndef CRASHES
#define CRASHES 2
#endif

/* The fence: */
#define RESULT_WITHOUT_LEASE 1
#define RECIPIENT_LEASED_TWICE 2
/* The time: */
#define COURIER_NEVER_LOOKS 3
#define HOLDS_FROM_THE_REPLY_ON 4
#define BURIED_BY_A_CLOCK_AHEAD 5
#define BURIED_NODE_LIVES_ON 6
#define LEASE_OF_THE_STORE_BEFORE_HOLDS_ON 7
/* What must not be forgotten: */
#define ANSWER_BEFORE_COMMIT 8
#define HEIR_SENDS_AGAIN 9

#define LIFE 2   /* of a node that says nothing, in steps of the clock */
#define MARGIN 1 /* so much sooner its leases end for its courier */
#define NODES 3
#define NONE 255

byte wrong = 0;

/* SENDING: it has looked at the time. TAKEN, REFUSED, PUT_OFF: what the peer has said. */
mtype = { IDLE, LEASED, SENDING, TAKEN, REFUSED, PUT_OFF };

/* The database. Times are what is left of them, so that the clock may run for ever. */
bit queued = 1;
byte lease_node = NONE; /* whose the lease is; NONE: there is none */
byte left[NODES];       /* 0: no row; 1: silent for too long */
byte recorded = 0;
bit bounced = 0;

/* The machines: the node that the store is, how long its last word has been under way, and what its courier knows. */
byte node[2], said[2], holds[2];
mtype does[2] = IDLE;
bit has_it[2];    /* the lease that the courier works on is in the database */
bit of_before[2]; /* and is one of the store before, which holds for `stays` */
byte stays[2];

/* The peer. */
byte copies = 0;
bit excused = 0;
byte crashes = 0;
byte m, i;

#define KNOWS(x) (does[x] == TAKEN || does[x] == REFUSED || does[x] == PUT_OFF)
#define MAY_LEASE(x) (does[x] == IDLE || of_before[x] && KNOWS(x))
#define STAYS(x) (of_before[x] && wrong != LEASE_OF_THE_STORE_BEFORE_HOLDS_ON -> stays[x] : holds[x])
#define UNUSED(n) (left[n] == 0 && node[0] != n && node[1] != n)
#define ROOM (UNUSED(0) || UNUSED(1) || UNUSED(2))
#define MATTERS(n) (node[0] == n || node[1] == n || lease_node == n)
#define EXPIRED(n) (left[n] == 1 || wrong == BURIED_BY_A_CLOCK_AHEAD && left[n])
#define COUNTS(x) (wrong == RESULT_WITHOUT_LEASE && queued || has_it[x] && !of_before[x])
#define ONE_LESS(v, least) v = (v > least -> v - 1 : v)

inline lease_ends()
{
	lease_node = NONE;
	has_it[0] = 0;
	has_it[1] = 0
}

/* It starts again. */
inline new_node(x)
{
	if
	:: does[x] != IDLE && !of_before[x] -> of_before[x] = 1; stays[x] = holds[x]
	:: else
	fi;
	i = 0;
	do
	:: !UNUSED(i) -> i++
	:: else -> break
	od;
	node[x] = i;
	i = 0;
	left[node[x]] = LIFE + 2;
	said[x] = 0;
	holds[x] = 0
}

inline bury(n)
{
	left[n] = 0;
	if
	:: lease_node == n -> lease_ends()
	:: else
	fi
}

/* Each transaction begins with it: a node that was buried ends. */
inline say_alive(x)
{
	if
	:: left[node[x]] || wrong == BURIED_NODE_LIVES_ON ->
		left[node[x]] = LIFE + 2;
		said[x] = 0;
		i = 0;
		do
		:: i < NODES ->
			if
			:: i != node[x] && EXPIRED(i) -> bury(i)
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	:: else -> new_node(x)
	fi
}

inline hear_reply(x)
{
	if
	:: wrong == HOLDS_FROM_THE_REPLY_ON -> holds[x] = LIFE - MARGIN
	:: else -> holds[x] = (said[x] < LIFE - MARGIN -> LIFE - MARGIN - said[x] : 0)
	fi;
	said[x] = NONE
}

/* What is known of it already is not done again. */
inline take_lease(x)
{
	lease_ends();
	lease_node = node[x];
	has_it[x] = 1;
	if
	:: does[x] == IDLE || wrong == HEIR_SENDS_AGAIN -> does[x] = LEASED
	:: else
	fi;
	of_before[x] = 0;
	stays[x] = 0
}

inline forget_job(x)
{
	does[x] = IDLE;
	has_it[x] = 0;
	of_before[x] = 0;
	stays[x] = 0
}

inline record(x)
{
	if
	:: does[x] == PUT_OFF
	:: does[x] == TAKEN -> recorded++; queued = 0
	:: does[x] == REFUSED -> recorded++; bounced = 1; queued = 0; excused = excused || does[1 - x] == TAKEN
	fi;
	lease_ends()
}

inline tick()
{
	ONE_LESS(left[0], 1); ONE_LESS(left[1], 1); ONE_LESS(left[2], 1);
	ONE_LESS(holds[0], 0); ONE_LESS(holds[1], 0);
	ONE_LESS(stays[0], 0); ONE_LESS(stays[1], 0);
	said[0] = (said[0] < LIFE -> said[0] + 1 : said[0]);
	said[1] = (said[1] < LIFE -> said[1] + 1 : said[1])
}

inline check()
{
	assert(copies <= 1 || excused); /* nothing is sent twice */
	assert(recorded <= 1);          /* a result counts once */
	assert(!bounced || copies == 0 || excused)
}

init {
	c_code { now.wrong = getenv("WRONG") ? (uchar)atoi(getenv("WRONG")) : 0; };
	d_step { node[1] = 1; left[0] = LIFE + 2; left[1] = LIFE + 2 };
	do
	:: excused -> break /* whatever comes then */
	:: d_step { !excused -> tick() }
	:: atomic {
		!excused;
		m = 0;
		if :: skip :: m = 1 fi;
		if
		/* the store */
		:: said[m] == NONE && ROOM -> d_step { say_alive(m) }
		:: said[m] != NONE -> d_step { hear_reply(m) }
		:: queued && MAY_LEASE(m) && (lease_node == NONE || wrong == RECIPIENT_LEASED_TWICE) && left[node[m]] ->
			d_step { take_lease(m) }
		/* the courier */
		:: does[m] == LEASED && (STAYS(m) || wrong == COURIER_NEVER_LOOKS) ->
			d_step { assert(has_it[m]); does[m] = SENDING } /* who begins to send has the lease */
		:: does[m] == LEASED && !STAYS(m) -> d_step { forget_job(m) }
		/* It may have been stopped until now; or the other one has sent it, and was silent for too long. */
		:: does[m] == SENDING -> d_step {
			excused = excused || !has_it[m] || does[1 - m] == TAKEN;
			does[m] = TAKEN;
			copies++;
			check()
		   }
		:: does[m] == SENDING -> does[m] = REFUSED
		:: does[m] == SENDING -> does[m] = PUT_OFF
		/* its result; the reply to it may be lost, which ends the store */
		:: KNOWS(m) && wrong == ANSWER_BEFORE_COMMIT && ROOM -> d_step { forget_job(m); new_node(m) }
		:: KNOWS(m) && left[node[m]] && COUNTS(m) -> d_step { record(m); forget_job(m); check() }
		:: KNOWS(m) && left[node[m]] && COUNTS(m) && ROOM -> d_step { record(m); new_node(m); check() }
		:: KNOWS(m) && left[node[m]] && !COUNTS(m) && !of_before[m] -> d_step { forget_job(m) }
		/* a store dies, or a courier */
		:: crashes < CRASHES && ROOM -> d_step { crashes++; new_node(m) }
		:: crashes < CRASHES && does[m] != IDLE -> d_step {
			crashes++;
			excused = excused || does[m] == TAKEN;
			if
			:: has_it[m] && !of_before[m] -> lease_ends()
			:: else
			fi;
			forget_job(m)
		   }
		:: else
		fi;
		d_step { /* rows that nobody will miss */
			left[0] = (MATTERS(0) -> left[0] : 0);
			left[1] = (MATTERS(1) -> left[1] : 0);
			left[2] = (MATTERS(2) -> left[2] : 0);
			m = 0
		}
	   }
	od
}
