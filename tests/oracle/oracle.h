/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The oracle: a naive model of the VPC rules, to hold the data path against.
 *
 * Invariants:
 * 1. Nothing here comes from the data path or its compiler: no header of theirs, no class, no cache, no index. Every
 *    look-up is a scan over the lists of the desired state, so that a wrong index over there shows up here.
 * 2. Judging a packet changes nothing. What it would change is kept in the verdict and done by model_commit(), once it
 *    is known that the packet really went out. Where the contract leaves a choice, model and data path stay in step.
 * 3. A drop holds the set of reasons that the contract allows, not one reason.
 */
#ifndef ENID_ORACLE_H
#define ENID_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ID_LEN        64
#define FRAME_MAX     9300
#define GEN_FRAME_MAX 2048 /* a frame that is generated */
#define NS            1000000000LL

/* ---- names of outcomes */
enum act { ACT_DROP, ACT_DELIVER, ACT_UPLINK, ACT_PASS, ACT_REPLY, ACT_TUNNEL, ACT_MAX };
extern const char *const act_name[ACT_MAX];

enum why {
	WHY_ACCEPTED,
	WHY_MALFORMED,
	WHY_ETHERTYPE,
	WHY_VLAN,
	WHY_FRAGMENT,
	WHY_IP_OPTIONS,
	WHY_MARTIAN,
	WHY_MULTICAST,
	WHY_L2,
	WHY_MAC_SPOOF,
	WHY_UNKNOWN_MAC,
	WHY_SOURCE_CHECK,
	WHY_DEST_CHECK,
	WHY_SG_EGRESS,
	WHY_SG_INGRESS,
	WHY_NACL_EGRESS,
	WHY_NACL_INGRESS,
	WHY_NO_ROUTE,
	WHY_BLACKHOLE,
	WHY_NO_OWNER,
	WHY_NOT_SERVED,
	WHY_IGW_NO_PUBLIC,
	WHY_IGW_NO_OWNER,
	WHY_DENY_IGW,
	WHY_NO_POLICY,
	WHY_RATE_LIMIT,
	WHY_BPA,
	WHY_PEERING,
	WHY_TGW_ATTACHMENT,
	WHY_TGW_NO_ROUTE,
	WHY_TGW_BLACKHOLE,
	WHY_VGW,
	WHY_EIGW,
	WHY_ENDPOINT,
	WHY_NAT_MAPPING,
	WHY_NAT_PORT,
	WHY_NAT_PROTOCOL,
	WHY_NAT_HAIRPIN,
	WHY_TTL,
	WHY_MTU,
	WHY_MAX
};
extern const char *const why_name[WHY_MAX];
#define BIT(n)  (1ULL << (n))
#define WHY_ANY (~0ULL)

/* ---- packets */
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };
enum { P_ICMP = 1, P_TCP = 6, P_UDP = 17, P_ICMP6 = 58 };
enum { ET_IP4 = 0x0800, ET_ARP = 0x0806, ET_IP6 = 0x86dd };

struct ip {
	uint8_t b[16]; /* an IPv4 address fills the first four, the rest is zero */
};

struct cidr {
	int fam, len;
	struct ip ip;
};

/* The packet that an ICMP error quotes. */
struct inner {
	struct ip src, dst;
	int proto, l3, l4;
	uint16_t sport, dport;
	int qtype; /* of a quoted query: its request type, else -1 */
	bool qreply;
};

struct pkt {
	const uint8_t *raw;
	int n, etype;
	enum why err; /* WHY_ACCEPTED: none */
	int fam, proto, ttl;
	struct ip src, dst;
	uint16_t sport, dport;
	int l4, end; /* offsets in raw */
	int foff;    /* bytes */
	bool more, srcroute, routing_header, hidden;
	uint32_t fid;
	uint8_t flags;
	uint32_t seq, ack;
	int itype, icode; /* -1: no ICMP header in sight */
	int qtype;        /* ICMP query: its request type, else -1 */
	bool qreply, has_inner;
	struct inner inner;
};

void pkt_parse(const uint8_t *raw, int n, struct pkt *ret_pkt);

/* What a packet carries when it leaves: every field that a gateway may change. */
struct rewrite {
	struct ip src, dst;
	uint16_t sport, dport; /* of an ICMP query: its identifier, twice */
	struct ip isrc, idst;  /* of the quoted packet */
	uint16_t isport, idport;
	int ttl_less;
	int mss; /* the most that a SYN may say; 0: whatever it says */
};
void rewrite_none(const struct pkt *p, struct rewrite *ret_rewrite);
int pkt_emit(const struct pkt *p, const struct rewrite *rw, uint8_t *ret_out);
const char *pkt_bad_checksum(const uint8_t *raw, int n);
void pkt_mask_checksums(uint8_t *raw, int n);
void pkt_describe(const uint8_t *raw, int n, char *ret_text, size_t size);

uint32_t sum16(const uint8_t *b, int n);
uint16_t fold16(uint32_t s);
uint32_t pseudo_sum(int fam, const struct ip *src, const struct ip *dst, int proto, int len);
uint16_t get16(const uint8_t *b);
uint32_t get32(const uint8_t *b);
void put16(uint8_t *b, unsigned v);
void put32(uint8_t *b, uint32_t v);

bool ip_eq(const struct ip *a, const struct ip *b);
bool cidr_has(const struct cidr *c, int fam, const struct ip *ip);
int cidr_read(const char *text, struct cidr *ret_cidr);
int ip_read(const char *text, int *ret_fam, struct ip *ret_ip);
const char *ip_text(int fam, const struct ip *ip);
int mac_read(const char *text, uint8_t *ret_mac);
void ip_eui64(const uint8_t *mac, struct ip *ret_ip);

/* ---- the desired state, as lists */
struct vpc {
	char id[ID_LEN];
	struct cidr cidr[12];
	int nr_cidr; /* the primary IPv4 CIDR comes first */
	char bpa[ID_LEN];
};

struct subnet {
	char id[ID_LEN];
	int vpc;
	struct cidr cidr[4];
	int nr_cidr;
	char az[ID_LEN];
	int nacl;  /* -1: none in the state, so the AWS default, which allows all (VPC-16) */
	int table; /* -1: local routes only */
};

enum peer_kind { PEER_CIDR, PEER_LIST, PEER_GROUP };

/* One permission and one peer: alternatives of a permission are rules of their own (SG-11). */
struct sg_rule {
	bool egress;
	int proto, from, to; /* proto -1: all */
	enum peer_kind kind;
	struct cidr cidr;
	char ref[ID_LEN]; /* prefix list or group */
};

struct group {
	char id[ID_LEN];
	char vpc[ID_LEN];
	struct sg_rule *rule;
	int nr_rule;
};

struct prefix_list {
	char id[ID_LEN];
	struct cidr *cidr;
	int nr_cidr;
};

struct nacl_entry {
	bool egress, allow;
	int number, proto, from, to, type, code;
	bool ports;
	struct cidr cidr;
};

struct nacl {
	char id[ID_LEN];
	int vpc;
	bool is_default;
	struct nacl_entry *entry;
	int nr_entry;
};

enum target_kind { TO_LOCAL, TO_ENI, TO_GATE, TO_NAT, TO_PEERING, TO_TGW, TO_NOTHING };
enum route_rank { RANK_STATIC, RANK_LIST, RANK_PROPAGATED };

struct route {
	struct cidr cidr;
	char list[ID_LEN]; /* prefix list, or empty */
	enum target_kind kind;
	char target[ID_LEN];
	bool blackhole, filtered, propagated;
};

struct table {
	char id[ID_LEN];
	int vpc;
	bool main;
	struct route *route;
	int nr_route;
};

struct own_ip {
	int fam;
	struct ip ip;
	bool has_public;
	struct ip public;
};

struct eni {
	char id[ID_LEN];
	int number; /* stable over edits: key of everything that is remembered */
	int vpc, subnet;
	uint8_t mac[6];
	bool check, live, deny_igw, compute, endpoint;
	struct own_ip ip[16];
	int nr_ip;
	struct cidr prefix[6];
	int nr_prefix;
	char group[8][ID_LEN];
	int nr_group;
	int64_t tcp_established, udp_stream, udp; /* seconds */
	bool port, guard, instance;
	int mtu;
	uint64_t policy; /* digest of its security group rules */
};

/* A gateway that leads out by an uplink. */
enum gate_kind { GATE_IGW, GATE_EIGW, GATE_VGW, GATE_ENDPOINT };

struct gate {
	char id[ID_LEN];
	enum gate_kind kind;
	int vpc;   /* -1: not attached */
	int table; /* of what comes in by it (RT-18); -1: none, so local delivery */
	bool uplink;
	int mtu;              /* of the uplink, 0: any */
	bool tracks;          /* CT-06: a DynamoDB endpoint */
	bool vpn;             /* VGW-05: through tunnels, not Direct Connect */
	int vgw;              /* of a VPN connection: its gateway; else -1 */
	bool any_site;        /* VGW-01: a dynamic connection; of a gateway: or none listed */
	struct cidr site[16]; /* VGW-01: what the connection reaches */
	int nr_site;
};

struct nat {
	char id[ID_LEN];
	int number, vpc, subnet, eni;
	bool available, deleting;
	struct ip addr[8];
	int nr_addr;
};

struct peering {
	char id[ID_LEN];
	int vpc[2];
	bool active, far; /* far: between Regions */
};

struct tgw {
	char id[ID_LEN];
	bool available, refs;
};

struct attachment {
	char id[ID_LEN];
	int tgw, vpc, subnet[8], nr_subnet, table; /* table -1: not associated */
	bool available, refs, appliance, ipv6;
};

enum tgw_rank { TGW_STATIC, TGW_LIST, TGW_PROPAGATED };

struct tgw_route {
	struct cidr cidr;
	enum tgw_rank rank;
	int attachment; /* -1: gone */
	bool blackhole;
};

struct tgw_table {
	char id[ID_LEN];
	struct tgw_route *route;
	int nr_route;
};

/* VPC-18: what is blocked, and for whom not. */
enum bpa_mode { BPA_OFF, BPA_INGRESS, BPA_BIDIRECTIONAL };

struct exclusion {
	char id[ID_LEN]; /* of a VPC or a subnet */
	bool bidirectional;
};

struct world {
	struct vpc *vpc;
	struct subnet *subnet;
	struct group *group;
	struct prefix_list *list;
	struct nacl *nacl;
	struct table *table;
	struct eni *eni;
	struct gate *gate;
	struct nat *nat;
	struct peering *peering;
	struct tgw *tgw;
	struct attachment *attachment;
	struct tgw_table *tgw_table;
	struct exclusion *exclusion;
	int nr_vpc, nr_subnet, nr_group, nr_list, nr_nacl, nr_table, nr_eni, nr_gate, nr_nat, nr_peering, nr_tgw;
	int nr_attachment, nr_tgw_table, nr_exclusion;
	enum bpa_mode bpa;
	uint8_t router_mac[6];
};

int world_read(json_t *root, const char *host, struct world **ret_world);
void world_free(struct world *w);
int eni_number(const char *id);

/* ---- rules */
const struct own_ip *eni_ip(const struct eni *e, int fam, const struct ip *ip);
bool eni_owns(const struct eni *e, int fam, const struct ip *ip);
int owner_of(const struct world *w, int vpc, int fam, const struct ip *ip);
int public_owner(const struct world *w, int vpc, const struct ip *public, struct ip *ret_private);
bool public_of(const struct world *w, int vpc, const struct ip *private, struct ip *ret_public);
bool subnet_has(const struct subnet *s, int fam, const struct ip *ip);
bool nacl_allows(const struct world *w, const struct subnet *s, bool egress, const struct pkt *p);

struct route_choice {
	enum target_kind kind;
	uint64_t fail; /* reasons; 0: none */
	int at;        /* index of the target among its kind */
	bool listed;   /* a propagated route of a VGW: its prefix counts as learned */
};
void route_choose(const struct world *w, int vpc, int table, const struct pkt *p, struct route_choice *ret_choice);
bool tgw_choose(const struct world *w, int table, const struct pkt *p, struct tgw_route *ret_route);
const struct gate *gate_exit(const struct world *w, const struct gate *g);
const struct nat *nat_of_eni(const struct world *w, int eni);
bool vpc_has(const struct world *w, int vpc, int fam, const struct ip *ip);
enum bpa_mode bpa_mode(const char *word, enum bpa_mode absent);
bool bpa_blocks(const struct world *w, int vpc, int subnet, bool direct);

/* Group references match members in this VPC only; none: nowhere (SG-17, SG-18). */
enum { REFS_NONE = -1 };
struct sg_verdict {
	bool admitted, untracked;
};
void sg_judge(const struct world *w, const struct eni *e, bool egress, int refs, const struct pkt *p,
	      struct sg_verdict *ret_verdict);

/* ---- connection tracking */
struct flow_key {
	int eni, proto, fam, qtype, opener; /* opener: only for queries, else 0 */
	struct ip near, far;
	uint16_t near_port, far_port;
};

enum tcp_phase { PHASE_SYN, PHASE_SYN_ACK, PHASE_PICKED_UP, PHASE_ESTABLISHED };

/* What both kinds of entries know of a TCP conversation. */
struct conversation {
	enum tcp_phase phase;
	bool closing;
	bool fin[2], acked[2]; /* [0]: by the opener, [1]: by its peer */
	uint32_t ack[2];
};
enum tcp_phase tcp_opens(const struct pkt *p);
void tcp_advance(struct conversation *c, const struct pkt *p, bool opener, bool opened);
bool tcp_half_open(const struct conversation *c);

struct flow {
	struct flow_key key;
	struct flow *next;
	bool egress; /* opened outward */
	bool tracked;
	uint64_t policy;
	struct conversation tcp;
	bool asked;    /* the last packet was the opener's */
	int exchanges; /* answers to a request */
	int64_t expires;
};

enum change_kind { CHANGE_NONE, CHANGE_OPEN, CHANGE_TOUCH };

/* What a packet will do to the table of one ENI. */
struct change {
	enum change_kind kind;
	struct flow_key key;
	const struct eni *eni;
	bool related;                 /* an error about a flow of the table */
	bool egress, tracked, always; /* always: the way makes it tracked (CT-06) */
};

/* ---- what NAT gateways and egress-only gateways remember (NAT-04, EIGW-02) */
struct mapping {
	struct mapping *next;
	int gate; /* number of the gateway's id */
	int fam, proto, qtype;
	struct ip client, remote, addr; /* addr: as the world sees the client */
	uint16_t client_port, remote_port, port;
	struct conversation tcp;
	bool ghost; /* gone, but its port may not be free yet */
	int64_t expires;
	int peering;    /* number of the peering it left by; -1: none (NAT-18) */
	int from;       /* number of the ENI whose packet opened it */
	bool elsewhere; /* that ENI sends the flow by another way by now */
};

struct map_change {
	enum change_kind kind;
	bool outward;
	struct mapping map; /* OPEN: the new one; TOUCH: a copy of the one */
	bool port_free;     /* OPEN: its port is to be read from what came out */
	bool kept;          /* the client's own port is free, so it must be kept */
};

struct datagram {
	struct datagram *next;
	int where; /* number of the port's id */
	bool tx;
	int fam, proto;
	struct ip src, dst;
	uint32_t id;
	int64_t expires;
	int revision;
	struct verdict *verdict;
};

#define NR_BUCKETS 4096
struct model {
	struct world *world;
	int64_t now;
	int revision;
	struct flow *flows[NR_BUCKETS];
	struct datagram *datagrams;
	struct mapping *mappings;
	const char *host;
	int seen_port;       /* the source port in enid's answer, -1: none */
	int choice, choices; /* which of the answers that the contract leaves open, of how many */
};

/* One of n that the contract leaves open: each is tried before a difference is one. */
int model_pick(struct model *m, int n);

bool track_judge(struct model *m, const struct eni *e, bool egress, int refs, const struct pkt *p,
		 struct change *ret_change);
bool track_is_tracked(struct model *m, const struct change *c);

const struct mapping *map_inside(const struct model *m, int gate, int from, const struct pkt *p);
const struct mapping *map_outside(const struct model *m, int gate, const struct pkt *p);
const struct mapping *map_by_peering(const struct model *m, const struct pkt *p);
void map_open(const struct model *m, int gate, int from, const struct ip *addr, const struct pkt *p,
	      struct map_change *ret_change);
void map_touch(const struct mapping *f, bool outward, struct map_change *ret_change);
const char *map_port_fits(const struct model *m, const struct map_change *c, uint16_t port);
void map_commit(struct model *m, const struct map_change *c, const struct pkt *p);
void map_left(struct model *m, int from, const struct map_change *c, const struct pkt *p);
void map_prune(struct model *m, const struct world *w);
void map_clear(struct model *m);
void track_commit(struct model *m, const struct change *c, const struct pkt *p);
void track_reset(struct model *m, const struct change *c);
void track_forget(struct model *m, int eni);
void track_clear(struct model *m);

/* ---- verdicts */
enum mac_rule { MAC_ANY, MAC_ROUTER, MAC_SENDER };
enum answer { ANSWER_NONE, ANSWER_ARP, ANSWER_ND, ANSWER_RA, ANSWER_ECHO, ANSWER_TOO_BIG, ANSWER_TTL, ANSWER_RESET };

struct verdict {
	enum act act;     /* the expected one */
	unsigned others;  /* bits of enum act that would do as well */
	uint64_t reasons; /* for a drop */
	char to[ID_LEN];
	struct rewrite out;
	enum mac_rule smac;
	uint8_t dmac[6];
	enum answer answer;
	uint8_t answer_mac[6];   /* of ARP and ND */
	bool by_uplink;          /* the answer goes back to who is outside */
	bool any_mac;            /* the answered MAC is the device's own */
	struct ip answer_src[4]; /* of an ICMP error: who may have sent it; none: anyone */
	int nr_answer_src, answer_mtu;
	struct change change[2];
	struct map_change map;
	bool first_fragment, later_fragment;
};

void model_judge(struct model *m, const char *port, bool tx, const struct pkt *p, struct verdict *ret_verdict);
void model_commit(struct model *m, const char *port, bool tx, const struct pkt *p, const struct verdict *v,
		  bool dropped);
void model_apply(struct model *m, struct world *w);
void model_done(struct model *m);

/* neigh.c: what the fabric answers or consumes itself. True: the verdict is made. */
bool neigh_port(const struct model *m, const struct eni *e, const struct pkt *p, struct verdict *v);
bool neigh_uplink(const struct model *m, const struct gate *g, const struct pkt *p, struct verdict *v);
bool neigh_guard(const struct model *m, const struct eni *e, bool egress, const struct pkt *p, struct verdict *v);
bool is_neighbour_message(const struct pkt *p);
bool is_dhcp(const struct pkt *p);
bool is_service(const struct world *w, const struct eni *e, int fam, const struct ip *ip);
bool is_router_address(const struct world *w, const struct eni *e, int fam, const struct ip *ip);
bool is_martian(int fam, const struct ip *ip);
bool is_multicast(int fam, const struct ip *ip);
void verdict_drop(struct verdict *v, uint64_t reasons);
int verdict_packet(const struct model *m, const struct pkt *p, const struct verdict *v, uint8_t *ret_out);

/* ---- lines of replay */
struct line {
	char port[ID_LEN];
	bool tx;
	int64_t at;
	uint8_t frame[GEN_FRAME_MAX];
	int n;
	char state[256]; /* a state line: the file's name in the case's folder */
	bool broken;     /* which must be refused */
};

struct answer_line {
	enum act act; /* ACT_MAX: applied or refused */
	bool applied, refused;
	char to[ID_LEN], reason[1024]; /* every reason's name finds room */
	uint8_t frame[FRAME_MAX];
	int n; /* -1: no packet */
};

int answer_read(const char *text, struct answer_line *ret_answer);
const char *compare(const struct model *m, const struct line *l, const struct pkt *p, struct verdict *v,
		    const struct answer_line *a);
int oracle_replay(int argc, char **argv);
int hex_read(const char *text, size_t len, uint8_t *ret_bytes, int size);
void hex_write(const uint8_t *b, int n, char *ret_text);

/* ---- random cases */
struct rnd {
	uint64_t s;
};
uint64_t rnd_next(struct rnd *r);
int rnd_below(struct rnd *r, int n);
int rnd_between(struct rnd *r, int lo, int hi);
bool rnd_chance(struct rnd *r, int percent);

json_t *gen_state(struct rnd *r);
json_t *gen_edit(struct rnd *r, json_t *state, const char **ret_what, bool *ret_broken);

/* ---- random traffic */
struct side {
	bool outside;        /* on the internet, or beyond a guard port */
	char eni[ID_LEN];    /* whose port its frames arrive on; of an outside one, the ENI it talks to */
	char uplink[ID_LEN]; /* of an outside one: where its frames arrive; empty: at its VPC's internet gateway */
	struct ip own, far;
	uint16_t port;
	uint32_t seq, acked; /* next to send; last acknowledged */
};

enum { MAX_CONV = 48, MAX_PENDING = 16 };

struct conv {
	int fam, proto;
	bool direct;         /* the sides address each other's MAC */
	struct side side[2]; /* [0] opens */
	int step, qtype, mss;
	bool zero_checksum;
};

struct traffic {
	struct rnd *r;
	int64_t now;
	struct conv conv[MAX_CONV];
	int nr_conv, last;
	struct line pending[MAX_PENDING];
	int nr_pending;
	uint32_t fragment_id;
};

/* What the traffic leaves out, by name: to look past a difference that is known. */
enum {
	WITHOUT_SELF = 1,
	WITHOUT_HAIRPIN = 2,
	WITHOUT_ERRORS = 4,
	WITHOUT_FRAGMENTS = 8,
	WITHOUT_ODD = 16,
	WITHOUT_MAC = 32,
	WITHOUT_LINK_LOCAL = 64,
	WITHOUT_RUNTS = 128,
	WITHOUT_LIES = 256
};
extern unsigned traffic_without;
extern const char *gen_without; /* kinds of gateways that states do without, by name */

void traffic_init(struct traffic *t, struct rnd *r);
void traffic_line(struct traffic *t, const struct world *w, struct line *ret_line);

const struct eni *gen_eni_named(const struct world *w, const char *id);
const struct gate *gen_uplink_of(const struct world *w, int vpc);
bool gen_conv(struct rnd *r, const struct world *w, struct conv *ret_conv);
bool gen_frame(const struct world *w, const struct conv *c, int s, int l4_len, const uint8_t *l4, struct line *l);
bool gen_tcp(const struct world *w, struct conv *c, int s, int flags, int data, struct line *l);
bool gen_udp(const struct world *w, const struct conv *c, int s, int data, struct line *l);
bool gen_query(const struct world *w, const struct conv *c, int s, bool reply, struct line *l);
bool gen_raw(const struct world *w, const struct conv *c, int s, struct line *l);
bool gen_error(struct rnd *r, const struct world *w, const struct conv *c, int s, struct line *l);
void gen_seal(uint8_t *f, int n);
void gen_aim(struct rnd *r, const struct world *w, struct conv *c);
bool gen_has(const char *feature);
void gen_oddity(struct traffic *t, const struct world *w, struct line *l);
void gen_neighbour(struct rnd *r, const struct world *w, struct line *l);
void gen_fragments(struct traffic *t, const struct world *w);
#endif
