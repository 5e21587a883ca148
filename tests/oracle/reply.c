/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet as the model expects it to leave: rewritten ones, and the fabric's own answers. */
#include <string.h>
#include "oracle.h"

static int build_arp(const struct pkt *p, const struct verdict *v, uint8_t *out)
{
	memcpy(out, p->raw + 6, 6);
	memcpy(out + 6, v->answer_mac, 6);
	memcpy(out + 12, p->raw + 12, 10);
	put16(out + 20, 2);
	memcpy(out + 22, v->answer_mac, 6);
	memcpy(out + 28, p->raw + 38, 4);
	memcpy(out + 32, p->raw + 22, 10);
	return 42;
}

static void icmp6_checksum(uint8_t *out, int len)
{
	struct ip src, dst;

	memcpy(src.b, out + 22, 16);
	memcpy(dst.b, out + 38, 16);
	put16(out + 56, 0);
	put16(out + 56, (uint16_t)~fold16(sum16(out + 54, len) + pseudo_sum(6, &src, &dst, P_ICMP6, len)));
}

static int build_advert(const struct pkt *p, const struct verdict *v, uint8_t *out)
{
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	static const uint8_t unspecified[16];
	bool probe = !memcmp(p->src.b, unspecified, 16);

	memset(out, 0, 86);
	memcpy(out, p->raw + 6, 6);
	memcpy(out + 6, v->answer_mac, 6);
	put16(out + 12, ET_IP6);
	out[14] = 0x60;
	put16(out + 18, 32);
	out[20] = P_ICMP6;
	out[21] = 255;
	memcpy(out + 22, p->raw + p->l4 + 8, 16);
	memcpy(out + 38, probe ? all_nodes : p->src.b, 16);
	out[54] = 136;
	memcpy(out + 62, p->raw + p->l4 + 8, 16);
	out[78] = 2;
	out[79] = 1;
	memcpy(out + 80, v->answer_mac, 6);
	icmp6_checksum(out, 32);
	return 86;
}

/* The least router advertisement: M flag, no lifetime given, no option (L2-06). */
static int build_router_advert(const struct pkt *p, const struct verdict *v, uint8_t *out)
{
	struct ip router;

	ip_eui64(v->answer_mac, &router);
	memcpy(out, p->raw, 54);
	memcpy(out, p->raw + 6, 6);
	memcpy(out + 6, v->answer_mac, 6);
	put16(out + 18, 16);
	out[20] = P_ICMP6;
	memcpy(out + 22, router.b, 16);
	memcpy(out + 38, p->src.b, 16);
	memset(out + 54, 0, 16);
	out[54] = 134;
	out[59] = 0x80;
	icmp6_checksum(out, 16);
	return 70;
}

static int build_echo(const struct pkt *p, const struct verdict *v, uint8_t *out)
{
	int n = p->fam == 4 ? 4 : 16, at = p->fam == 4 ? 26 : 22;

	memcpy(out, p->raw, (size_t)p->end);
	memcpy(out, p->raw + 6, 6);
	memcpy(out + 6, v->answer_mac, 6);
	memcpy(out + at, p->dst.b, (size_t)n);
	memcpy(out + at + n, p->src.b, (size_t)n);
	out[p->l4] = p->fam == 4 ? 0 : 129;
	put16(out + p->l4 + 2, 0);
	uint32_t s = sum16(out + p->l4, p->end - p->l4);

	if (p->fam == 6)
		s += pseudo_sum(6, &p->src, &p->dst, P_ICMP6, p->end - p->l4);
	put16(out + p->l4 + 2, (uint16_t)~fold16(s));
	return p->end;
}

/* An ICMP error about the packet, back to where it came from (MTU-02, NAT-20). */
static int build_error(const struct pkt *p, const struct verdict *v, uint8_t *out)
{
	bool v4 = p->fam == 4, big = v->answer == ANSWER_TOO_BIG;
	int hl = v4 ? 20 : 40, size = p->end - 14, room = v4 ? p->l4 - 14 + 8 : 1280 - 48;
	uint8_t *h = out + 14, *icmp = h + hl;
	struct ip src = v->nr_answer_src ? v->answer_src[0] : p->dst;

	if (size > room)
		size = room;
	memset(out, 0, 62);
	if (!v->by_uplink) { /* else the neighbour table says */
		memcpy(out, p->raw + 6, 6);
		memcpy(out + 6, p->raw, 6);
	}
	memcpy(out + 12, p->raw + 12, 2);
	memcpy(icmp + 8, p->raw + 14, (size_t)size);
	h[0] = v4 ? 0x45 : 0x60;
	h[v4 ? 8 : 7] = 64;
	h[v4 ? 9 : 6] = v4 ? P_ICMP : P_ICMP6;
	put16(h + (v4 ? 2 : 4), (unsigned)(size + 8 + (v4 ? hl : 0)));
	memcpy(h + (v4 ? 12 : 8), src.b, v4 ? 4 : 16);
	memcpy(h + (v4 ? 16 : 24), p->src.b, v4 ? 4 : 16);
	icmp[0] = (uint8_t)(v4 ? (big ? 3 : 11) : big ? 2 : 3);
	icmp[1] = (uint8_t)(v4 && big ? 4 : 0);
	put16(icmp + 6, (unsigned)(big ? v->answer_mtu : 0));
	if (v4)
		put16(h + 10, (uint16_t)~fold16(sum16(h, 20)));
	put16(icmp + 2,
	      (uint16_t)~fold16(sum16(icmp, size + 8) + (v4 ? 0 : pseudo_sum(6, &src, &p->src, P_ICMP6, size + 8))));
	return 14 + hl + 8 + size;
}

/* RFC 9293, 3.10.7.1: the reset of a segment that belongs to nothing. */
static int build_reset(const struct pkt *p, uint8_t *out)
{
	bool v4 = p->fam == 4, acked = p->flags & TCP_ACK;
	int hl = v4 ? 20 : 40, data = p->end - p->l4 - (p->raw[p->l4 + 12] >> 4) * 4;
	uint8_t *h = out + 14, *tcp = h + hl;

	memset(out, 0, 14 + (size_t)hl + 20);
	memcpy(out, p->raw + 6, 6);
	memcpy(out + 6, p->raw, 6);
	memcpy(out + 12, p->raw + 12, 2);
	h[0] = v4 ? 0x45 : 0x60;
	h[v4 ? 8 : 7] = 64;
	h[v4 ? 9 : 6] = P_TCP;
	put16(h + (v4 ? 2 : 4), (unsigned)(v4 ? 40 : 20));
	memcpy(h + (v4 ? 12 : 8), p->dst.b, v4 ? 4 : 16);
	memcpy(h + (v4 ? 16 : 24), p->src.b, v4 ? 4 : 16);
	put16(tcp, p->dport);
	put16(tcp + 2, p->sport);
	put32(tcp + 4, acked ? p->ack : 0);
	put32(tcp + 8, acked ? 0 : p->seq + (uint32_t)data + !!(p->flags & TCP_SYN) + !!(p->flags & TCP_FIN));
	tcp[12] = 5 << 4;
	tcp[13] = (uint8_t)(acked ? TCP_RST : TCP_RST | TCP_ACK);
	if (v4)
		put16(h + 10, (uint16_t)~fold16(sum16(h, 20)));
	put16(tcp + 16, (uint16_t)~fold16(sum16(tcp, 20) + pseudo_sum(p->fam, &p->dst, &p->src, P_TCP, 20)));
	return 14 + hl + 20;
}

static int build_answer(const struct pkt *p, const struct verdict *v, uint8_t *out)
{
	switch (v->answer) {
	case ANSWER_ARP:
		return build_arp(p, v, out);
	case ANSWER_ND:
		return build_advert(p, v, out);
	case ANSWER_ECHO:
		return build_echo(p, v, out);
	case ANSWER_TOO_BIG:
	case ANSWER_TTL:
		return build_error(p, v, out);
	case ANSWER_RESET:
		return build_reset(p, out);
	default:
		return build_router_advert(p, v, out);
	}
}

int verdict_packet(const struct model *m, const struct pkt *p, const struct verdict *v, uint8_t *ret_out)
{
	int n;

	if (v->act == ACT_PASS) {
		memcpy(ret_out, p->raw, (size_t)p->n);
		return p->n;
	}
	if (v->act == ACT_REPLY)
		return build_answer(p, v, ret_out);
	n = pkt_emit(p, &v->out, ret_out);
	memset(ret_out, 0, 12);
	if (v->act == ACT_DELIVER) {
		memcpy(ret_out, v->dmac, 6);
		memcpy(ret_out + 6, v->smac == MAC_SENDER ? p->raw + 6 : m->world->router_mac, 6);
	}
	return n;
}
