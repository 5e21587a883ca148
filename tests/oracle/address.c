/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses, CIDRs and MACs as text and as bytes; one packet in words. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "oracle.h"

bool ip_eq(const struct ip *a, const struct ip *b)
{
	return !memcmp(a, b, sizeof(*a));
}

bool cidr_has(const struct cidr *c, int fam, const struct ip *ip)
{
	if (c->fam != fam)
		return false;
	for (int i = 0; i < c->len; i++) {
		int mask = 0x80 >> (i & 7);

		if ((c->ip.b[i / 8] & mask) != (ip->b[i / 8] & mask))
			return false;
	}
	return true;
}

int ip_read(const char *text, int *ret_fam, struct ip *ret_ip)
{
	struct ip ip = {0};
	int fam = strchr(text, ':') ? 6 : 4;

	if (inet_pton(fam == 4 ? AF_INET : AF_INET6, text, ip.b) != 1)
		return -EINVAL;
	*ret_fam = fam;
	*ret_ip = ip;
	return 0;
}

int cidr_read(const char *text, struct cidr *ret_cidr)
{
	char buf[64];
	struct cidr c = {0};
	char *slash;

	snprintf(buf, sizeof(buf), "%s", text);
	slash = strchr(buf, '/');
	if (slash)
		*slash = 0;
	if (ip_read(buf, &c.fam, &c.ip))
		return -EINVAL;
	c.len = slash ? atoi(slash + 1) : c.fam == 4 ? 32 : 128;
	if (c.len < 0 || c.len > (c.fam == 4 ? 32 : 128))
		return -EINVAL;
	for (int i = c.len; i < 128; i++)
		c.ip.b[i / 8] &= (uint8_t) ~(0x80 >> (i & 7));
	*ret_cidr = c;
	return 0;
}

const char *ip_text(int fam, const struct ip *ip)
{
	static char buf[4][64];
	static int next;
	char *b = buf[next++ & 3];

	return inet_ntop(fam == 4 ? AF_INET : AF_INET6, ip->b, b, 64);
}

int mac_read(const char *text, uint8_t *ret_mac)
{
	unsigned m[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6)
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		ret_mac[i] = (uint8_t)m[i];
	return 0;
}

void ip_eui64(const uint8_t *mac, struct ip *ret_ip)
{
	struct ip ip = {{0xfe, 0x80}};

	ip.b[8] = mac[0] ^ 2;
	ip.b[9] = mac[1];
	ip.b[10] = mac[2];
	ip.b[11] = 0xff;
	ip.b[12] = 0xfe;
	memcpy(ip.b + 13, mac + 3, 3);
	*ret_ip = ip;
}

static int describe_l4(const struct pkt *p, char *s, size_t size)
{
	static const char names[] = "FSRPA";
	int n = 0;

	if (p->proto == P_TCP || p->proto == P_UDP)
		n += snprintf(s + n, size - (size_t)n, " %d>%d", p->sport, p->dport);
	if (p->proto == P_TCP) {
		n += snprintf(s + n, size - (size_t)n, " [");
		for (int i = 0; i < 5; i++)
			if (p->flags & 1 << i)
				n += snprintf(s + n, size - (size_t)n, "%c", names[i]);
		n += snprintf(s + n, size - (size_t)n, "] seq %u ack %u", p->seq, p->ack);
	}
	if (p->itype >= 0)
		n += snprintf(s + n, size - (size_t)n, " type %d code %d id %d", p->itype, p->icode, p->sport);
	if (p->has_inner)
		n += snprintf(s + n, size - (size_t)n, " about {%s > %s proto %d %d>%d}",
			      ip_text(p->fam, &p->inner.src), ip_text(p->fam, &p->inner.dst), p->inner.proto,
			      p->inner.sport, p->inner.dport);
	return n;
}

void pkt_describe(const uint8_t *raw, int n, char *ret_text, size_t size)
{
	struct pkt p;
	int at;

	pkt_parse(raw, n, &p);
	if (p.etype < 0) {
		snprintf(ret_text, size, "runt of %d bytes", n);
		return;
	}
	at = snprintf(ret_text, size, "%02x:%02x:%02x:%02x:%02x:%02x>%02x:%02x:%02x:%02x:%02x:%02x ", raw[6], raw[7],
		      raw[8], raw[9], raw[10], raw[11], raw[0], raw[1], raw[2], raw[3], raw[4], raw[5]);
	if (p.etype == ET_ARP && n >= 42) {
		struct ip s = {0}, t = {0};

		memcpy(s.b, raw + 28, 4);
		memcpy(t.b, raw + 38, 4);
		snprintf(ret_text + at, size - (size_t)at, "ARP op %d spa %s tpa %s", get16(raw + 20), ip_text(4, &s),
			 ip_text(4, &t));
		return;
	}
	if (!p.fam) {
		snprintf(ret_text + at, size - (size_t)at, "ethertype %04x len %d", p.etype, n);
		return;
	}
	at += snprintf(ret_text + at, size - (size_t)at, "%s > %s proto %d", ip_text(p.fam, &p.src),
		       ip_text(p.fam, &p.dst), p.proto);
	if (p.foff || p.more)
		at += snprintf(ret_text + at, size - (size_t)at, " frag id %u off %d%s", p.fid, p.foff,
			       p.more ? "+" : "");
	if (!p.err && !p.foff)
		at += describe_l4(&p, ret_text + at, size - (size_t)at);
	snprintf(ret_text + at, size - (size_t)at, " ttl %d len %d%s%s", p.ttl, n, p.err ? " ERR=" : "",
		 p.err ? why_name[p.err] : "");
}
