/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet as it leaves: other addresses, ports, identifiers, hop limit and segment size, with the checksums that
 * follow from them. Slow and plain: sums are made anew wherever the whole packet is there.
 */
#include <string.h>
#include "oracle.h"

void rewrite_none(const struct pkt *p, struct rewrite *ret_rewrite)
{
	*ret_rewrite = (struct rewrite){.src = p->src,
					.dst = p->dst,
					.sport = p->sport,
					.dport = p->dport,
					.isrc = p->inner.src,
					.idst = p->inner.dst,
					.isport = p->inner.sport,
					.idport = p->inner.dport};
}

static void put_addresses(uint8_t *h, int fam, const struct ip *src, const struct ip *dst)
{
	int n = fam == 4 ? 4 : 16, at = fam == 4 ? 12 : 8;

	memcpy(h + at, src->b, (size_t)n);
	memcpy(h + at + n, dst->b, (size_t)n);
}

static void fill_l4_checksum(uint8_t *out, const struct pkt *p, const struct rewrite *rw)
{
	bool icmp = p->proto == (p->fam == 4 ? P_ICMP : P_ICMP6);
	int at = p->proto == P_TCP ? 16 : p->proto == P_UDP ? 6 : icmp ? 2 : -1, len = p->end - p->l4;

	if (at < 0 || (p->proto == P_UDP && p->fam == 4 && !get16(out + p->l4 + 6)))
		return; /* IGW-05: UDP checksum 0 stays 0 */
	put16(out + p->l4 + at, 0);
	uint32_t s = sum16(out + p->l4, len);

	if (p->proto != P_ICMP)
		s += pseudo_sum(p->fam, &rw->src, &rw->dst, p->proto, len);
	uint16_t c = (uint16_t)~fold16(s);

	put16(out + p->l4 + at, c || p->proto == P_TCP || p->proto == P_ICMP ? c : 0xffff);
}

/* The new value of a checksum when covered words change from `before` to `after` (RFC 1624). */
static uint16_t adjust(uint16_t old, uint32_t before, uint32_t after)
{
	return (uint16_t)~fold16((uint16_t)~old + (uint16_t)~fold16(before) + (uint32_t)fold16(after));
}

static uint32_t address_sum(const uint8_t *h, int fam)
{
	return fam == 4 ? sum16(h + 12, 8) : sum16(h + 8, 32);
}

/* Ports, or the identifier of a query, at the L4 header. */
static void put_ports(uint8_t *h, int proto, bool query, uint16_t sport, uint16_t dport)
{
	if (proto == P_TCP || proto == P_UDP) {
		put16(h, sport);
		put16(h + 2, dport);
	} else if (query) {
		put16(h + 4, sport);
	}
}

static uint32_t port_sum(const uint8_t *h, int proto, bool query)
{
	return proto == P_TCP || proto == P_UDP ? sum16(h, 4) : query ? get16(h + 4) : 0;
}

/* IGW-05, NAT-12: the quoted header gets what the quoted packet really carried. */
static void emit_inner(uint8_t *out, const struct pkt *p, const struct rewrite *rw)
{
	const struct inner *in = &p->inner;
	uint8_t *h = out + in->l3, *l4 = out + in->l4;
	bool query = in->qtype >= 0;
	uint32_t before = address_sum(h, p->fam), ports = port_sum(l4, in->proto, query);

	put_addresses(h, p->fam, &rw->isrc, &rw->idst);
	put_ports(l4, in->proto, query, rw->isport, rw->idport);
	uint32_t after = address_sum(h, p->fam);

	if (p->fam == 4)
		put16(h + 10, adjust(get16(h + 10), before, after));
	int at = in->proto == P_TCP ? 16 : in->proto == P_UDP ? 6 : query ? 2 : 0;

	if (query)
		before = after = 0; /* ICMP sums hold no addresses */
	before += ports;
	after += port_sum(l4, in->proto, query);
	if (at && in->l4 + at + 2 <= p->end && (in->proto != P_UDP || get16(l4 + at)))
		put16(l4 + at, adjust(get16(l4 + at), before, after));
}

/* NAT-19: a SYN may not ask for more than the path takes. */
static void clamp_mss(uint8_t *out, const struct pkt *p, int mss)
{
	int doff = (out[p->l4 + 12] >> 4) * 4;

	if (!mss || p->proto != P_TCP || !(p->flags & TCP_SYN))
		return;
	for (int i = p->l4 + 20; i + 1 < p->l4 + doff;) {
		if (out[i] == 0)
			return;
		if (out[i] == 1) {
			i++;
			continue;
		}
		if (out[i + 1] < 2 || i + out[i + 1] > p->l4 + doff)
			return;
		if (out[i] == 2 && out[i + 1] == 4 && get16(out + i + 2) > mss)
			put16(out + i + 2, (unsigned)mss);
		i += out[i + 1];
	}
}

/* Only the head of a datagram is here: what the change of addresses and ports does to its sum. */
static void adjust_first_fragment(uint8_t *out, const struct pkt *p, uint32_t before, uint32_t after)
{
	uint8_t *c = out + p->l4 + (p->proto == P_TCP ? 16 : 6);

	if (p->proto == P_TCP || (p->proto == P_UDP && get16(c)))
		put16(c, adjust(get16(c), before, after));
}

static bool is_plain(const struct pkt *p, const struct rewrite *rw)
{
	struct rewrite none;

	rewrite_none(p, &none);
	none.mss = rw->mss;
	return !memcmp(&none, rw, sizeof(none)) && (!rw->mss || p->proto != P_TCP || !(p->flags & TCP_SYN));
}

/* The packet as rewritten, trimmed to its IP length; the MACs are the caller's. Returns its length. */
int pkt_emit(const struct pkt *p, const struct rewrite *rw, uint8_t *ret_out)
{
	uint8_t *h = ret_out + 14;

	memcpy(ret_out, p->raw, (size_t)p->end);
	if (is_plain(p, rw))
		return p->end;
	uint32_t before = address_sum(h, p->fam);

	put_addresses(h, p->fam, &rw->src, &rw->dst);
	h[p->fam == 4 ? 8 : 7] = (uint8_t)(p->ttl - rw->ttl_less);
	if (p->fam == 4) {
		put16(h + 10, 0);
		put16(h + 10, (uint16_t)~fold16(sum16(h, (h[0] & 15) * 4)));
	}
	if (p->foff)
		return p->end;
	uint32_t ports = port_sum(ret_out + p->l4, p->proto, p->qtype >= 0);

	put_ports(ret_out + p->l4, p->proto, p->qtype >= 0, rw->sport, rw->dport);
	clamp_mss(ret_out, p, rw->mss);
	if (p->has_inner)
		emit_inner(ret_out, p, rw);
	if (p->more)
		adjust_first_fragment(ret_out, p, before + ports,
				      address_sum(h, p->fam) + port_sum(ret_out + p->l4, p->proto, p->qtype >= 0));
	else
		fill_l4_checksum(ret_out, p, rw);
	return p->end;
}
