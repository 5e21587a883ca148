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

int verdict_packet(const struct model *m, const struct pkt *p, const struct verdict *v, uint8_t *ret_out)
{
	int n;

	if (v->act == ACT_PASS) {
		memcpy(ret_out, p->raw, (size_t)p->n);
		return p->n;
	}
	if (v->act == ACT_REPLY)
		return v->answer == ANSWER_ARP    ? build_arp(p, v, ret_out)
		       : v->answer == ANSWER_ND   ? build_advert(p, v, ret_out)
		       : v->answer == ANSWER_ECHO ? build_echo(p, v, ret_out)
						  : build_router_advert(p, v, ret_out);
	n = pkt_emit(p, &v->src, &v->dst, ret_out);
	memset(ret_out, 0, 12);
	if (v->act == ACT_DELIVER) {
		memcpy(ret_out, v->dmac, 6);
		memcpy(ret_out + 6, v->smac == MAC_SENDER ? p->raw + 6 : m->world->router_mac, 6);
	}
	return n;
}
