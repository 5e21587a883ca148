/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Free records (bpf/free.h): CPUs that take records from the list and give them back, and one shelf on which two meet.
 *
 * What one locked instruction, one load or one store does is one step. Memory is as strong as on x86.
 *
 * Held: nobody takes a record that another has; in the end every record is in the list or on the shelf, once.
 *
 * Each of these defines takes one safeguard away, and must make the check fail:
 *   NO_COUNT  the head of the list does not say how often it was popped (R1, C23)
 *   NO_TAKEN  a shelf is used without a look whether somebody is at it (R2, C23)
 */
#define RECORDS 3 /* 1 to RECORDS; 0 = none */
#define CPUS    2

byte head = 1, popped;
byte link[RECORDS + 1];
byte shelf[RECORDS], on_shelf;
bit taken;
byte owner[RECORDS + 1];

#ifdef NO_COUNT
#define SAME (head == at)
#else
#define SAME (head == at && popped == count)
#endif

/* ret in `got`: 0 = the list was empty, or somebody popped meanwhile */
inline pop()
{
	got = 0;
	d_step { at = head; count = popped } /* one word */
	if
	:: at ->
		after = link[at];
		d_step {
			if
			:: SAME -> head = after; popped++; got = at
			:: else
			fi;
			after = 0
		}
	:: else
	fi
}

inline push(r)
{
	do
	:: at = head;
		link[r] = at;
		d_step {
			if
			:: head == at -> head = r; ok = true
			:: else -> ok = false
			fi
		}
		if
		:: ok -> break
		:: else
		fi
	od
}

inline shelf_take()
{
#ifdef NO_TAKEN
	ok = true
#else
	d_step { ok = !taken; taken = 1 }
#endif
}

inline own(r)
{
	d_step { assert(owner[r] == 0); owner[r] = me }
}

/* From the shelf, else from the list */
inline take()
{
	got = 0;
	shelf_take();
	if
	:: ok ->
		at = on_shelf;
		if
		:: at -> got = shelf[at - 1]; on_shelf = at - 1
		:: else
		fi;
		taken = 0
	:: else
	fi;
	if
	:: got == 0 -> pop()
	:: else
	fi;
	if
	:: got -> own(got)
	:: else
	fi
}

/* To the shelf if it has room, else to the list */
inline give(r)
{
	owner[r] = 0;
	shelf_take();
	if
	:: ok && on_shelf == 0 ->
		shelf[0] = r;
		on_shelf = 1;
		taken = 0
	:: ok && on_shelf ->
		taken = 0;
		push(r)
	:: else -> push(r)
	fi
}

proctype cpu(byte me)
{
	byte at, count, after, got, first, second;
	bool ok;

	take();
	first = got;
	take();
	second = got;
	if
	:: first -> give(first)
	:: else
	fi;
	take();
	if
	:: got -> give(got)
	:: else
	fi;
	if
	:: second -> give(second)
	:: else
	fi;
}

init {
	byte at, seen, i;

	atomic {
		link[1] = 2;
		link[2] = 3;
		run cpu(1);
		run cpu(2)
	}
	(_nr_pr == 1);
	atomic {
		at = head;
		do
		:: at && seen <= RECORDS -> seen++; at = link[at]
		:: else -> break
		od;
		assert(seen + on_shelf == RECORDS && !taken)
	}
}
