/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The life of a flow record (bpf/flow.h, bpf/keep.h, bpf/sweep.h, user/datapath/records.c): two CPUs with packets of two
 * flows in both directions, the kernel's sweeper, the agent's collector and one change of state, at two records.
 *
 * What one helper or one locked instruction does is one step; between steps everybody may run. Memory is as strong as on
 * x86: stores are seen in their order.
 *
 * Held: nobody gets a verdict of a record that is not its flow's or not its state's; a packet is counted on its own
 * flow's record; two live records never share a name; a live record has its names; a record is free once; nothing is
 * admitted that neither state admits; in the end every record and every name is back.
 *
 * CHECKS: only packets that pass two checks. KNOWN: a record lives already, and nobody ages it.
 * Each of these defines takes one safeguard away, and must make the check fail:
 *   NO_LIMBO     a record is freed while late readers may still use it (I4, C23)
 *   NO_VERIFY    a decision is used without a second look at gs and epoch (I2, C15)
 *   NO_TAKE      two CPUs write one decision at once (C15)
 *   NO_YOUNGER   a packet that came under the old state replaces what the new one decided (C15)
 *   NO_CLOSE_CAS who closes looks first and stores then (I3, C23)
 *   NO_BURY_CAS  ... and who frees, too (C23)
 *   NO_BURY_MADE who frees does not look whether it is still the record whose limbo was over (C23)
 *   NO_ROLLBACK  a second name that cannot be had leaves the first (C16)
 *   NO_EXCLUSIVE names are written whether or not there is one (C14)
 *   MIXED        each check asks anew which state is in force
 */
#define RECORDS 2
#define FLOWS   2
#define NOBODY  255

#ifndef PACKETS
#define PACKETS       2
#define PACKETS_OTHER 2
#endif

#define FREE    0
#define BUSY    1
#define LIVE    2
#define CLOSING 3
#define TAKEN   255

typedef Record {
	byte state;
	byte made;   /* generation of the record */
	byte flow;
	byte home;   /* exit that the sibling's arrival stands for */
	byte exit;
	byte epoch;  /* 0 = judge */
	bit named[2];
	bit over;    /* half[1].gs is RECORD_GONE */
	byte listed; /* how often it is on the free list */
	byte finals; /* how often its counters were taken for good */
};

Record rec[RECORDS];
byte names[4]; /* flow * 2 + direction -> record, NOBODY = none */
byte generation = 0;
byte holders[RECORDS]; /* packets that found it by its name and are not done */
byte working = 2;      /* CPUs that still have packets */

#define EPOCH(g)     ((g) + 1)
#define OWNER(g)     (g)        /* exit that state g wants */
#define GATE(n, g)   ((g) == (n)) /* of a packet that no state admits: check n does in state n only */

#define name_drop(f, d) names[(f) * 2 + (d)] = NOBODY

inline close_record(r)
{
	won = false;
#ifdef NO_CLOSE_CAS
	seen = rec[r].state;
	if
	:: seen == LIVE -> rec[r].state = CLOSING; won = true
	:: else
	fi;
#else
	d_step {
		if
		:: rec[r].state == LIVE -> rec[r].state = CLOSING; won = true
		:: else
		fi
	}
#endif
	if
	:: won ->
		if
		:: rec[r].named[0] -> name_drop(rec[r].flow, 0)
		:: else
		fi;
		if
		:: rec[r].named[1] -> name_drop(rec[r].flow, 1)
		:: else
		fi;
		rec[r].over = 1
	:: else
	fi
}

#ifdef NO_LIMBO
#define LIMBO_OVER(r) true
#else
#define LIMBO_OVER(r) (holders[r] == 0)
#endif

#ifdef NO_BURY_MADE
#define SAME_MADE(r) true
#else
#define SAME_MADE(r) (rec[r].made == made)
#endif

inline free_record(r)
{
	won = false;
#ifdef NO_BURY_CAS
	seen = rec[r].state;
	if
	:: seen == CLOSING -> rec[r].state = BUSY; won = true
	:: else
	fi;
#else
	d_step {
		if
		:: rec[r].state == CLOSING && SAME_MADE(r) -> rec[r].state = BUSY; won = true
		:: else
		fi
	}
#endif
	if
	:: won ->
		d_step {
			rec[r].finals++;
			assert(rec[r].finals == 1);
			rec[r].over = 0;
			rec[r].state = FREE
		}
		d_step { rec[r].listed++; assert(rec[r].listed == 1) }
	:: else
	fi
}

#define CAN_CLOSE(r) (rec[r].state == LIVE) /* it may have expired at any time */
#define CAN_FREE(r)  (rec[r].state == CLOSING && rec[r].over && LIMBO_OVER(r))

/* The kernel's sweeper and the agent's collector do the same, at their own times. One of them closes: who else might,
 * the packets do. */
proctype sweeper(bool closes)
{
	byte seen, made;
	bool won;
	do
	:: closes && CAN_CLOSE(0) -> close_record(0)
	:: closes && CAN_CLOSE(1) -> close_record(1)
	:: atomic { CAN_FREE(0) -> made = rec[0].made }; free_record(0)
	:: atomic { CAN_FREE(1) -> made = rec[1].made }; free_record(1)
	:: working == 0 && rec[0].state == FREE && rec[1].state == FREE -> break
	od
}

inline take_free(r)
{
	d_step {
		if
		:: rec[0].listed -> r = 0; rec[0].listed--
		:: else ->
			if
			:: rec[1].listed -> r = 1; rec[1].listed--
			:: else -> r = NOBODY
			fi
		fi
	}
}

inline name_claim(f, d, r, ok)
{
	d_step {
#ifdef NO_EXCLUSIVE
		names[(f) * 2 + (d)] = r; ok = true
#else
		if
		:: names[(f) * 2 + (d)] == NOBODY -> names[(f) * 2 + (d)] = r; ok = true
		:: else -> ok = false
		fi
#endif
	}
}

/* Both directions agree on the order: name 0 first. */
inline open_record(f)
{
	take_free(r);
	if
	:: r != NOBODY ->
		assert(rec[r].state == FREE);
		d_step {
			rec[r].state = BUSY;
			rec[r].made++;
			rec[r].finals = 0;
			rec[r].flow = f;
			rec[r].home = OWNER(parity);
			rec[r].named[0] = 1;
			rec[r].named[1] = 1;
			rec[r].exit = OWNER(parity);
			rec[r].epoch = EPOCH(parity)
		}
		name_claim(f, 0, r, ok);
		if
		:: ok ->
			name_claim(f, 1, r, ok);
			if
			:: ok ->
				d_step {
					rec[r].state = LIVE;
					assert(rec[1 - r].state != LIVE || rec[1 - r].flow != f);
					assert(names[f * 2] == r && names[f * 2 + 1] == r)
				}
			:: else ->
#ifndef NO_ROLLBACK
				name_drop(f, 0);
#endif
				rec[r].state = FREE;
				d_step { rec[r].listed++; assert(rec[r].listed == 1) }
			fi
		:: else ->
			rec[r].state = FREE;
			d_step { rec[r].listed++; assert(rec[r].listed == 1) }
		fi
	:: else /* full: refused, or judged alone */
	fi
}

/* half_decide(): the exit of this state, kept if it is the one that the record was made for */
inline decide(r)
{
	seen = rec[r].epoch;
#ifdef NO_TAKE
	rec[r].epoch = 0;
	ok = true;
#else
	ok = false;
	if
#ifdef NO_YOUNGER
	:: seen != TAKEN ->
#else
	:: seen != TAKEN && generation == parity ->
#endif
		d_step {
			if
			:: rec[r].epoch == seen -> rec[r].epoch = TAKEN; ok = true
			:: else
			fi
		}
	:: else
	fi;
#endif
	if
	:: ok ->
		rec[r].exit = OWNER(parity);
		rec[r].epoch = (OWNER(parity) == rec[r].home -> EPOCH(parity) : 0)
	:: else
	fi
}

inline count(r, f, g)
{
	d_step { assert(rec[r].made == g && rec[r].flow == f && rec[r].state != FREE) }
}

/* flow_cached(). ret in `hit` */
inline look_up(f, d)
{
	hit = false;
	d_step {
		r = names[f * 2 + d];
		if
		:: r != NOBODY -> holders[r]++; held = r
		:: else
		fi
	}
	if
	:: r != NOBODY ->
		d_step { seen = rec[r].state; made = rec[r].made }
		if
		:: seen == LIVE && rec[r].flow == f ->
			epoch = rec[r].epoch;
			exit = rec[r].exit;
			d_step {
				hit = (epoch == EPOCH(parity));
#ifndef NO_VERIFY
				hit = (hit && rec[r].epoch == epoch && rec[r].state == LIVE && rec[r].made == made)
#endif
			}
		:: else -> r = NOBODY
		fi
	:: else
	fi
}

inline one_packet(f, d)
{
	parity = generation;
	look_up(f, d);
	if
	:: hit ->
		assert(exit == OWNER(parity)); /* the verdict that the state in force at arrival gives */
		count(r, f, made)
	:: !hit && r != NOBODY -> /* judged, and the half refreshed; or a SYN after the close starts over */
		if
		:: decide(r); count(r, f, made)
		:: close_record(r); open_record(f)
		fi
	:: else -> open_record(f)
	fi;
	d_step {
		if
		:: held != NOBODY -> holders[held]--; held = NOBODY
		:: else
		fi;
		r = NOBODY; exit = 0; epoch = 0; made = 0; seen = 0; hit = false; ok = false; won = false; parity = 0
	}
}

/* Two checks of one packet (its source's group and its target's, say). */
proctype checks()
{
	byte parity;
	bool ok, hit;

	parity = generation;
	ok = GATE(0, parity);
#ifdef MIXED
	parity = generation;
#endif
	hit = GATE(1, parity);
	assert(!(ok && hit))
}

proctype cpu(byte packets)
{
	byte r = NOBODY, held = NOBODY, seen, exit, epoch, made, parity;
	bool hit, ok, won;
	do
	:: packets > 0 ->
		packets--;
		if
		:: one_packet(0, 0)
		:: one_packet(0, 1)
#ifdef TWO_FLOWS
		:: one_packet(1, 0)
#endif
		fi
	:: else -> break
	od;
	working--
}

init {
	atomic {
		byte i = 0;
		do
		:: i < 4 -> names[i] = NOBODY; i++
		:: else -> break
		od;
		rec[1].listed = 1;
#ifndef KNOWN
		rec[0].listed = 1;
#else
		rec[0].state = LIVE; /* made by a packet of state 1 for flow 0; its decision is to be made anew */
		rec[0].home = OWNER(1);
		rec[0].named[0] = 1;
		rec[0].named[1] = 1;
		names[0] = 0;
		names[1] = 0;
#endif
#ifdef CHECKS
		run checks();
		run checks()
#else
		run cpu(PACKETS);
		run cpu(PACKETS_OTHER);
#ifndef KNOWN
		run sweeper(true);
		run sweeper(false)
#endif
#endif
	}
	generation = 1;
#ifndef KNOWN
	(_nr_pr == 1); /* all are done: nothing may be left */
	assert(names[0] == NOBODY && names[1] == NOBODY && names[2] == NOBODY && names[3] == NOBODY);
	assert(rec[0].state == FREE && rec[1].state == FREE && rec[0].listed == 1 && rec[1].listed == 1)
#endif
}
