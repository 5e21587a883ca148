/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sides (bpf/side.h, user/datapath/beside.c): two CPUs whose packets want one for a record that lives, the closing of
 * records, which takes their sides along, and an agent that may be killed in it, at two records and two places.
 *
 * What one helper or one locked instruction does is one step; between steps everybody may run. Memory is as strong as on
 * x86.
 *
 * Held: a place has one owner; a record that lives has one side at most, which was clean when it got it; nobody writes
 * into the side of another record's life; what a CPU wrote there is found again while the record lives; in the end, and
 * after the repair of what a killed agent left, every place is free and clean.
 *
 * Each of these defines takes one safeguard away, and must make the check fail:
 *   NO_BIT    two CPUs that want a side do not agree who takes the place
 *   NO_SWAP   a place is taken without a look whether it is still free
 *   NO_CLEAN  a place is given back as it is
 *   NO_LIMBO  a record is freed while late packets may still use its side (I4)
 *   NO_REPAIR nobody finishes what a killed agent began
 */
#define RECORDS 2
#define PLACES  2
#define LIVES   2 /* of each record */

#define FREE    0
#define BUSY    1
#define LIVE    2
#define CLOSING 3

byte state[RECORDS], life[RECORDS], users[RECORDS];
bit bit_side[RECORDS];
byte owner[PLACES]; /* record + 1 */
byte content[PLACES]; /* life that wrote here + 1; 0 = clean */
byte written[RECORDS]; /* life that has a ticket + 1 */
byte working = 2;
bit killed;

/* places of record r: 0 -> 0, 1; 1 -> 0, 1: both begin at the same one */
inline find(r)
{
	at = 0;
	found = PLACES;
	do
	:: at < PLACES && owner[at] == r + 1 -> found = at; break
	:: at < PLACES && owner[at] != r + 1 -> at++
	:: at == PLACES -> break
	od
}

inline claim(r)
{
	found = PLACES;
#ifdef NO_BIT
	find(r);
	won = (found == PLACES);
#else
	d_step { won = !bit_side[r]; bit_side[r] = 1 }
#endif
	if
	:: won ->
		at = 0;
		do
		:: at < PLACES ->
			if
			:: owner[at] == 0 ->
#ifdef NO_SWAP
				owner[at] = r + 1;
				found = at;
				break
#else
				d_step {
					if
					:: owner[at] == 0 -> owner[at] = r + 1; found = at
					:: else
					fi
				}
				if
				:: found < PLACES -> break
				:: else -> at++
				fi
#endif
			:: else -> at++
			fi
		:: at == PLACES -> break
		od;
#ifndef NO_BIT
		if
		:: found == PLACES -> bit_side[r] = 0
		:: else
		fi
#else
		if
		:: found < PLACES -> bit_side[r] = 1
		:: else
		fi
#endif
	:: else -> find(r) /* once: who does not find it drops the packet */
	fi
}

/* A packet of the LIVE record r: one like it may be under way elsewhere. */
inline packet(r)
{
	seen = life[r];
	claim(r);
	if
	:: found < PLACES ->
		assert(life[r] == seen);
		find(r); /* gate_note() looks again */
		if
		:: found < PLACES ->
			d_step {
				assert(owner[found] == r + 1);
				assert(content[found] == 0 || content[found] == seen + 1);
				assert(written[r] != seen + 1 || content[found] == seen + 1);
				content[found] = seen + 1;
				written[r] = seen + 1
			}
		:: else
		fi
	:: else
	fi
}

proctype cpu()
{
	byte at, found, seen, r = 0;
	bit won;

	do
	:: r < RECORDS ->
		if
		:: d_step { state[r] == LIVE -> users[r]++ };
			packet(r);
			at = 0; found = 0; seen = 0; won = 0;
			users[r]--
		:: state[r] != LIVE
		fi;
		r++
	:: r == RECORDS -> break
	od;
	working--
}

inline give_back(r)
{
	if
	:: bit_side[r] ->
		find(r);
		if
		:: found < PLACES ->
#ifndef NO_CLEAN
			content[found] = 0;
#endif
			owner[found] = 0
		:: else
		fi
	:: else
	fi;
	at = 0; found = 0
}

/* half_reset() clears the bit before anybody finds the record. */
inline open(r)
{
	state[r] = BUSY;
	d_step { bit_side[r] = 0; life[r]++; written[r] = 0 };
	state[r] = LIVE
}

inline bury(r)
{
	state[r] = CLOSING;
#ifndef NO_LIMBO
	users[r] == 0;
#endif
	state[r] = BUSY;
	if
	:: !killed -> killed = 1; goto dead /* before the side goes */
	:: skip
	fi;
	give_back(r);
	if
	:: !killed -> killed = 1; goto dead /* after */
	:: skip
	fi;
	state[r] = FREE
}

/* The agent, and the next one after it was killed. */
proctype agent()
{
	byte at, found, r = 0, round = 0;

	do
	:: round < LIVES ->
		r = 0;
		do
		:: r < RECORDS ->
			if
			:: state[r] == FREE -> open(r)
			:: else
			fi;
			r++
		:: r == RECORDS -> break
		od;
		r = 0;
		do
		:: r < RECORDS ->
			if
			:: state[r] == LIVE -> bury(r)
			:: else
			fi;
again:			r++
		:: r == RECORDS -> break
		od;
		round++
	:: round == LIVES -> break
	od;
	goto over;
dead:
#ifndef NO_REPAIR
	give_back(r);
#endif
	state[r] = FREE;
	goto again;
over:
	working == 0;
	r = 0;
	do
	:: r < PLACES -> assert(owner[r] == 0 && content[r] == 0); r++
	:: r == PLACES -> break
	od
}

init
{
	atomic { run agent(); run cpu(); run cpu() }
}
