#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Does the differ find faults at all? Each line below plants one in a copy of the model, which then answers in enid's
# place (differ replay). A fault that the differ does not find within its packets fails the test.
#   mutants.sh BUILD
set -eu

build=${1:-build}
here=$(cd "$(dirname "$0")" && pwd)
differ=$build/tests/oracle/differ
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
missed=0
total=0

mutant() { # name, file, sed expression
	total=$((total + 1))
	rm -rf "$work/src"
	mkdir "$work/src"
	cp "$here"/*.c "$here"/*.h "$work/src"
	sed -i "$3" "$work/src/$2"
	if cmp -s "$here/$2" "$work/src/$2"; then
		echo "mutant $1: the expression changes nothing"
		missed=$((missed + 1))
		return
	fi
	(cd "$work/src" && ${CC:-gcc} -D_GNU_SOURCE -std=gnu11 -O1 -w ./*.c -ljansson -lm -o "$work/mutant")
	if "$differ" --enid "$work/mutant" --seed 7 --packets 400000 --states 200 --stop 1 > "$work/log" 2>&1; then
		echo "mutant $1: NOT FOUND"
		missed=$((missed + 1))
	else
		echo "mutant $1: found, $(sed -n 's/^    shrunk  //p' "$work/log" | tr -d :)"
	fi
}

mutant nacl-highest-number rules.c 's/e->number < best->number/e->number > best->number/'
mutant nacl-source-port rules.c 's/p->dport >= e->from \&\& p->dport <= e->to/p->sport >= e->from \&\& p->sport <= e->to/'
mutant sg-port-off-by-one rules.c 's/p->dport <= r->to)/p->dport < r->to)/'
mutant sg-reference-other-vpc rules.c 's/e->vpc != vpc || !eni_owns(e, fam, ip)/!eni_owns(e, fam, ip)/'
mutant sg-reference-behind-middlebox judge.c 's/y.in.refs = false; /y.in.refs = true; /'
mutant ct-all-tracked rules.c 's/by_all \&\& back \&\&/false \&\&/'
mutant ct-none-survives track.c 's/f \&\& !f->tracked \&\& f->policy/f \&\& f->policy/'
mutant ct-direction-lost track.c 's/k->near = egress ? \*src : \*dst/k->near = egress ? *dst : *src/; s/k->far = egress ? \*dst : \*src/k->far = egress ? *src : *dst/; s/key_make(\&k, e, !egress/key_make(\&k, e, egress/'
mutant ct-any-reset-closes track.c 's/f->acked\[!me\] \&\& f->ack\[!me\] == p->seq/true/'
mutant ct-syn-inherits track.c 's/f \&\& !(syn \&\& f->tracked)/f/'
mutant ct-udp-timer track.c 's/f->exchanges > 1/f->exchanges > 0/'
mutant ct-fin-forgets track.c 's/return 120;/return 119 * 60;/'
mutant ct-half-open track.c 's/e->tcp_established : 60/e->tcp_established : 64/'
mutant ct-error-any-outer track.c 's/ || !ip_eq(\&p->dst, \&in->src)//'
mutant ct-echo-shared track.c 's/c->key.opener = .*/c->key.opener = 0;/'
mutant fragment-forever judge.c 's/m->now + 30 \* NS/m->now + 3000 * NS/'
mutant fragment-id-ignored judge.c 's/ \&\& d->id == p->fid//'
mutant route-shortest rules.c 's/a->len > b->len/a->len < b->len/'
mutant route-propagated-beats-local rules.c 's/ || (r->propagated \&\& local)//'
mutant blackhole-falls-back rules.c 's/r->filtered || (/r->filtered || r->blackhole || (/'
mutant igw-eni-primary rules.c 's/return own->has_public;/return own->has_public || (*ret_public = *private, true);/'
mutant igw-quote-untouched packet.c 's/^	if (p->has_inner) {/	if (false) {/'
mutant check-skipped judge.c 's/e->check \&\& !eni_owns(e, p->fam, \&p->dst)/false/'
mutant mac-unchecked judge.c 's/faults |= BIT(WHY_MAC_SPOOF);/;/'
mutant l2-foreign-arp neigh.c 's/ || (!is_zero(\&spa) \&\& !eni_owns(e, 4, \&spa))//'
echo "mutants: $((total - missed)) of $total found"
test "$missed" = 0
