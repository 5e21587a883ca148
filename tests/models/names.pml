/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names in buckets (include/enid/names.h, bpf/names.h): CPUs that claim, drop and look up at the same time, in a table
 * of two buckets of one slot each and the hash behind them. Keys 0 and 1 have the same home and the same tag; key 2 has
 * the other bucket as its home, and so another lock.
 *
 * What one locked instruction, one load or one store does is one step. Memory is as strong as on x86.
 *
 * Held: two live records never share a key; a name that was there all the time is found; in the end no name, no count
 * and no lock is left.
 *
 * Each of these defines takes one safeguard away, and must make the check fail:
 *   NO_LOCK   a claim does not wait for the other claims of its home (N1, C14)
 *   NO_SWAP   a slot is looked at, then written (N1, C14)
 *   NO_OVER   `over` is raised after the record is live (N3, C15)
 *   NO_LOWER  ... and never lowered (N3, C16)
 *   NO_KEY    who looks up takes the first name with the tag (N4, C15)
 *   NO_DROP   the home alone is looked through for the name to drop (N2, C16)
 */
#ifndef FLOWS
#define FLOWS 1
#endif
#define KEYS   3
#define CPUS   3
#define NOBODY 255

#define HOME(key) ((key) / 2)
#define AWAY(key) (1 - HOME(key))

byte slot[2] = NOBODY; /* record, NOBODY = empty */
byte hash[KEYS] = NOBODY;
byte near[2], far[2]; /* the two halves of `over` */
bit lock[2];
byte key_of[CPUS]; /* of the record that each CPU has; made anew each time */
byte owner[KEYS] = NOBODY;
byte born[KEYS]; /* how often the key became live */
byte done;

#ifdef NO_KEY
#define MATCH(r, k) (key_of[r] == (k) || (reads && HOME(key_of[r]) == HOME(k)))
#else
#define MATCH(r, k) (key_of[r] == (k))
#endif

/* name_holder(). ret in `found` */
inline search(k)
{
	found = NOBODY;
	seen = slot[HOME(k)];
	if
	:: seen != NOBODY && MATCH(seen, k) -> found = seen
	:: else ->
		d_step { is_near = near[HOME(k)]; is_far = far[HOME(k)] }
		if
		:: is_near ->
			seen = slot[AWAY(k)];
			if
			:: seen != NOBODY && MATCH(seen, k) -> found = seen
			:: else
			fi
		:: else
		fi;
		if
		:: found == NOBODY && is_far -> found = hash[k]
		:: else
		fi
	fi;
	d_step { seen = 0; is_near = 0; is_far = 0 }
}

inline take(b)
{
	seen = slot[b];
	if
	:: seen == NOBODY ->
#ifdef NO_SWAP
		slot[b] = me; ok = true
#else
		d_step {
			if
			:: slot[b] == NOBODY -> slot[b] = me; ok = true
			:: else
			fi
		}
#endif
	:: else
	fi
}

inline put(k)
{
	take(HOME(k));
	if
	:: !ok ->
		take(AWAY(k));
		if
		:: ok -> place = 1
#ifndef NO_OVER
			; near[HOME(k)]++
#endif
		:: else ->
			place = 2;
#ifndef NO_OVER
			far[HOME(k)]++;
#endif
			hash[k] = me; ok = true
		fi
	:: else
	fi
}

inline claim(k)
{
	ok = false;
	place = 0;
#ifndef NO_LOCK
	atomic { lock[HOME(k)] == 0 -> lock[HOME(k)] = 1 };
#endif
	search(k);
	if
	:: found == NOBODY -> put(k)
	:: else
	fi;
#ifndef NO_LOCK
	lock[HOME(k)] = 0
#endif
}

inline drop(k)
{
	if
	:: slot[HOME(k)] == me -> slot[HOME(k)] = NOBODY
#ifndef NO_DROP
	:: slot[HOME(k)] != me && slot[AWAY(k)] == me ->
		slot[AWAY(k)] = NOBODY;
#ifndef NO_LOWER
		near[HOME(k)]--
#endif
	:: slot[HOME(k)] != me && slot[AWAY(k)] != me ->
		hash[k] = NOBODY;
#ifndef NO_LOWER
		far[HOME(k)]--
#endif
#else
	:: else
#endif
	fi
}

proctype cpu(byte me; byte flows)
{
	byte k, found, seen, place;
	byte is_near, is_far;
	bool ok, reads = false;
	do
	:: flows > 0 ->
		flows--;
		if
		:: k = 0
		:: k = 1
		:: k = 2
		fi;
		key_of[me] = k;
		claim(k);
		if
		:: ok ->
			d_step { assert(owner[k] == NOBODY); owner[k] = me; born[k]++ }
#ifdef NO_OVER
			if
			:: place == 1 -> near[HOME(k)]++
			:: place == 2 -> far[HOME(k)]++
			:: else
			fi;
#endif
			owner[k] = NOBODY; /* CLOSING: first, then the name goes */
			drop(k)
		:: else
		fi;
		d_step { found = 0; seen = 0; place = 0; ok = false; k = 0 }
	:: else -> break
	od;
	done++
}

/* Looks one key up. Limbo keeps a record's key as it is while we look at it. */
proctype reader()
{
	byte k, found, seen, was, when;
	byte is_near, is_far;
	bool reads = true;

	if
	:: owner[0] != NOBODY -> k = 0
	:: owner[2] != NOBODY -> k = 2
	:: done == CPUS -> goto end
	fi;
	d_step { was = owner[k]; when = born[k] }
	search(k);
	assert(was == NOBODY || owner[k] != was || born[k] != when || found == was);
end:
	skip
}

init {
	atomic {
		run cpu(0, FLOWS);
		run cpu(1, 1);
		run cpu(2, 1);
		run reader()
	}
	(_nr_pr == 1); /* all are done: nothing may be left */
	assert(slot[0] == NOBODY && slot[1] == NOBODY);
	assert(hash[0] == NOBODY && hash[1] == NOBODY && hash[2] == NOBODY);
	assert(near[0] == 0 && near[1] == 0 && far[0] == 0 && far[1] == 0 && lock[0] == 0 && lock[1] == 0)
}
