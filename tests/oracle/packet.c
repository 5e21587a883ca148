/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames: parse as the contract says, rewrite addresses, check checksums. No policy in here.
 *
 * A frame keeps its bytes; struct pkt holds offsets and values. Header faults end the parse with err set, and
 * everything that was read before stays valid (src and dst as soon as fam is not 0).
 */
#include <arpa/inet.h>
#include <string.h>
#include "oracle.h"

uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

uint32_t get32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

void put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

void put32(uint8_t *b, uint32_t v)
{
	put16(b, v >> 16);
	put16(b + 2, v & 0xffff);
}

uint32_t sum16(const uint8_t *b, int n)
{
	uint32_t s = 0;

	for (int i = 0; i + 1 < n; i += 2)
		s += get16(b + i);
	if (n & 1)
		s += (uint32_t)b[n - 1] << 8;
	return s;
}

uint16_t fold16(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

uint32_t pseudo_sum(int fam, const struct ip *src, const struct ip *dst, int proto, int len)
{
	int n = fam == 4 ? 4 : 16;

	return sum16(src->b, n) + sum16(dst->b, n) + (uint32_t)proto + (uint32_t)len;
}

/* ICMP query -> its request type; replies and requests share an identifier. */
static bool query_type(int fam, int type, int *ret_request, bool *ret_reply)
{
	static const int pairs4[][2] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
	static const int pairs6[][2] = {{128, 129}};
	const int(*pairs)[2] = fam == 4 ? pairs4 : pairs6;
	size_t n = fam == 4 ? ARRAY_SIZE(pairs4) : ARRAY_SIZE(pairs6);

	for (size_t i = 0; i < n; i++) {
		if (type != pairs[i][0] && type != pairs[i][1])
			continue;
		*ret_request = pairs[i][0];
		*ret_reply = type == pairs[i][1];
		return true;
	}
	return false;
}

/* CT-14: ICMP errors that quote the packet they are about. */
static bool is_error_type(int fam, int type)
{
	if (fam == 4)
		return type == 3 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

static bool is_extension(int nh)
{
	return nh == 0 || nh == 43 || nh == 60;
}

/* Where the quoted L4 header begins; 0 when the quote is too short or a later fragment. */
static int inner_header(const uint8_t *raw, int off, int end, int fam, struct inner *in)
{
	if (fam == 4) {
		int hl = (raw[off] & 15) * 4;

		if (end - off < 28 || raw[off] >> 4 != 4 || hl < 20 || end - off < hl + 8)
			return 0;
		if (get16(raw + off + 6) & 0x1fff)
			return 0;
		in->proto = raw[off + 9];
		memcpy(in->src.b, raw + off + 12, 4);
		memcpy(in->dst.b, raw + off + 16, 4);
		return off + hl;
	}
	if (end - off < 48 || raw[off] >> 4 != 6)
		return 0;
	memcpy(in->src.b, raw + off + 8, 16);
	memcpy(in->dst.b, raw + off + 24, 16);

	int nh = raw[off + 6], o = off + 40;

	for (int i = 0; is_extension(nh) && i < 8 && o + 8 <= end; i++) {
		nh = raw[o];
		o += (raw[o + 1] + 1) * 8;
	}
	if (is_extension(nh) || nh == 44 || o + 8 > end)
		return 0;
	in->proto = nh;
	return o;
}

static bool parse_inner(const uint8_t *raw, int off, int end, int fam, struct inner *in)
{
	memset(in, 0, sizeof(*in));
	in->qtype = -1;
	in->l3 = off;
	if (off >= end)
		return false;
	in->l4 = inner_header(raw, off, end, fam, in);
	if (!in->l4)
		return false;
	if (in->proto == P_TCP || in->proto == P_UDP) {
		in->sport = get16(raw + in->l4);
		in->dport = get16(raw + in->l4 + 2);
	} else if (in->proto == (fam == 4 ? P_ICMP : P_ICMP6)) {
		if (!query_type(fam, raw[in->l4], &in->qtype, &in->qreply))
			return false; /* never an error about an error */
		in->sport = in->dport = get16(raw + in->l4 + 4);
	}
	return true;
}

static void parse_icmp(struct pkt *p)
{
	const uint8_t *h = p->raw + p->l4;

	p->itype = h[0];
	p->icode = h[1];
	if (query_type(p->fam, h[0], &p->qtype, &p->qreply))
		p->sport = p->dport = get16(h + 4);
	else if (is_error_type(p->fam, h[0]))
		p->has_inner = parse_inner(p->raw, p->l4 + 8, p->end, p->fam, &p->inner);
}

static void parse_tcp(struct pkt *p, int avail)
{
	const uint8_t *h = p->raw + p->l4;
	int doff;

	if (avail < 20) {
		p->err = p->more ? WHY_FRAGMENT : WHY_MALFORMED;
		return;
	}
	p->sport = get16(h);
	p->dport = get16(h + 2);
	p->seq = get32(h + 4);
	p->ack = get32(h + 8);
	p->flags = h[13];
	doff = (h[12] >> 4) * 4;
	if (doff < 20 || doff > avail)
		p->err = p->more && doff >= 20 ? WHY_FRAGMENT : WHY_MALFORMED;
}

static void parse_l4(struct pkt *p)
{
	int avail = p->end - p->l4;

	if (p->foff)
		return;
	if (p->proto == P_TCP) {
		parse_tcp(p, avail);
	} else if (p->proto == P_UDP) {
		if (avail < 8) {
			p->err = p->more ? WHY_FRAGMENT : WHY_MALFORMED;
			return;
		}
		p->sport = get16(p->raw + p->l4);
		p->dport = get16(p->raw + p->l4 + 2);
		int len = get16(p->raw + p->l4 + 4);
		if (len < 8 || (!p->more && len > avail))
			p->err = WHY_MALFORMED;
	} else if (p->proto == (p->fam == 4 ? P_ICMP : P_ICMP6)) {
		if (avail < 8)
			p->err = p->more ? WHY_FRAGMENT : WHY_MALFORMED;
		else
			parse_icmp(p);
	}
}

static bool parse_options(struct pkt *p, int hl)
{
	for (int i = 34; i < 14 + hl;) {
		int o = p->raw[i];

		if (o == 0)
			break;
		if (o == 1) {
			i++;
			continue;
		}
		if (o == 0x83 || o == 0x89)
			p->srcroute = true;
		if (i + 1 >= 14 + hl || p->raw[i + 1] < 2 || i + p->raw[i + 1] > 14 + hl)
			return false;
		i += p->raw[i + 1];
	}
	return true;
}

static void parse_ip4(struct pkt *p)
{
	const uint8_t *h = p->raw + 14;

	p->err = WHY_MALFORMED;
	if (p->n < 34)
		return;
	int hl = (h[0] & 15) * 4, tot = get16(h + 2), ff = get16(h + 6);

	if (h[0] >> 4 != 4 || hl < 20 || tot < hl || 14 + tot > p->n)
		return;
	p->fam = 4;
	memcpy(p->src.b, h + 12, 4);
	memcpy(p->dst.b, h + 16, 4);
	p->ttl = h[8];
	p->proto = h[9];
	p->fid = get16(h + 4);
	p->foff = (ff & 0x1fff) * 8;
	p->more = ff & 0x2000;
	p->l4 = 14 + hl;
	p->end = 14 + tot;
	if (!parse_options(p, hl))
		return;
	p->err = WHY_ACCEPTED;
	parse_l4(p);
}

/* The chain of extension headers (V6-06): false when it is too long, cut, or holds two fragment headers. */
static bool parse_chain(struct pkt *p, int nh)
{
	bool fragment = false;
	int off = 54, pieces = 0;

	for (int count = 1; is_extension(nh) || nh == 44; count++) {
		if (count > 8 || off + 8 > p->end)
			return false;
		if (nh == 44) {
			if (fragment)
				return false;
			fragment = true;
			nh = p->raw[off];
			p->foff = get16(p->raw + off + 2) & 0xfff8;
			p->more = get16(p->raw + off + 2) & 1;
			p->fid = get32(p->raw + off + 4);
			off += 8;
			pieces = off;
			if (p->foff)
				break;
			continue;
		}
		int len = (p->raw[off + 1] + 1) * 8;

		if (off + len > p->end)
			return false;
		p->routing_header |= nh == 43;
		p->srcroute |= nh == 43 && p->raw[off + 3]; /* A7: of whatever type */
		nh = p->raw[off];
		off += len;
	}
	if (p->more && !p->foff && off != pieces)
		p->hidden = true;
	p->proto = nh;
	p->l4 = off;
	return true;
}

static void parse_ip6(struct pkt *p)
{
	const uint8_t *h = p->raw + 14;

	p->err = WHY_MALFORMED;
	if (p->n < 54 || h[0] >> 4 != 6 || 54 + get16(h + 4) > p->n)
		return;
	p->fam = 6;
	memcpy(p->src.b, h + 8, 16);
	memcpy(p->dst.b, h + 24, 16);
	p->ttl = h[7];
	p->end = 54 + get16(h + 4);
	if (!parse_chain(p, h[6]))
		return;
	p->err = p->hidden ? WHY_FRAGMENT : WHY_ACCEPTED;
	if (!p->hidden)
		parse_l4(p);
}

void pkt_parse(const uint8_t *raw, int n, struct pkt *ret_pkt)
{
	struct pkt *p = ret_pkt;

	memset(p, 0, sizeof(*p));
	p->raw = raw;
	p->n = p->end = n;
	p->proto = p->itype = p->icode = p->qtype = -1;
	p->etype = -1;
	if (n < 14) {
		p->err = WHY_MALFORMED;
		return;
	}
	p->etype = get16(raw + 12);
	if (p->etype == ET_IP4)
		parse_ip4(p);
	else if (p->etype == ET_IP6)
		parse_ip6(p);
	else if (p->etype == ET_ARP)
		p->err = n < 42 ? WHY_MALFORMED : WHY_ACCEPTED;
	else if (p->etype == 0x8100 || p->etype == 0x88a8 || p->etype == 0x9100)
		p->err = WHY_VLAN;
	else
		p->err = WHY_ETHERTYPE;
}

/* ---- checksums */

/* The first checksum of the frame that is wrong, or NULL. */
const char *pkt_bad_checksum(const uint8_t *raw, int n)
{
	struct pkt p;

	pkt_parse(raw, n, &p);
	if (p.fam == 4 && fold16(sum16(raw + 14, (raw[14] & 15) * 4)) != 0xffff)
		return "IP checksum";
	if (!p.fam || p.foff || p.more || p.err)
		return NULL;
	int len = p.end - p.l4;

	if (p.proto == P_UDP && p.fam == 4 && !get16(raw + p.l4 + 6))
		return NULL;
	if (p.proto == P_ICMP && p.fam == 4)
		return fold16(sum16(raw + p.l4, len)) == 0xffff ? NULL : "ICMP checksum";
	if (p.proto != P_TCP && p.proto != P_UDP && !(p.proto == P_ICMP6 && p.fam == 6))
		return NULL;
	uint32_t s = sum16(raw + p.l4, len) + pseudo_sum(p.fam, &p.src, &p.dst, p.proto, len);

	return fold16(s) == 0xffff ? NULL : "L4 checksum";
}

/* 0 and ffff are the same in one's complement, so equal packets may differ there: blank what pkt_bad_checksum checks,
 * and in the quote of an ICMP error the same fields. */
void pkt_mask_checksums(uint8_t *raw, int n)
{
	struct pkt p;

	pkt_parse(raw, n, &p);
	if (!p.fam || p.err)
		return;
	if (p.fam == 4)
		put16(raw + 24, 0);
	if (p.foff)
		return;
	if (p.proto == P_TCP)
		put16(raw + p.l4 + 16, 0);
	else if (p.proto == P_UDP)
		put16(raw + p.l4 + 6, get16(raw + p.l4 + 6) ? 1 : 0);
	else if (p.itype >= 0)
		put16(raw + p.l4 + 2, 0);
	if (!p.has_inner)
		return;
	if (p.fam == 4)
		put16(raw + p.inner.l3 + 10, fold16(sum16(raw + p.inner.l3, p.inner.l4 - p.inner.l3)) == 0xffff);
	int at = p.inner.proto == P_TCP ? 16 : p.inner.proto == P_UDP ? 6 : 0;

	if (at && p.inner.l4 + at + 2 <= p.end && get16(raw + p.inner.l4 + at) == 0xffff)
		put16(raw + p.inner.l4 + at, 0);
}
