/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* By libnftables, in its own language. Whether the table is untouched is asked cheaply: the kernel counts its ruleset's
 * generations; only when the number moved is the table listed and compared with what it was after our own write. */
#include "net/guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USUAL_PIN_DIR "/sys/fs/bpf/enid"

struct guard {
	struct nft_ctx *nft;
	char table[32];
	char *wanted;        /* the last transaction */
	char *in_force;      /* the tables as listed after it */
	uint32_t generation; /* of the kernel's ruleset when it was last compared; 0 = unknown */
	bool bridge;         /* the kernel has nftables for bridges */
};

static void table_name(const char *pin_dir, char name[32])
{
	uint32_t hash = 2166136261u;

	if (!strcmp(pin_dir, USUAL_PIN_DIR)) {
		snprintf(name, 32, "enid");
		return;
	}
	for (const char *c = pin_dir; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	snprintf(name, 32, "enid_%08x", hash);
}

static int open_nft(struct nft_ctx **ret)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);

	if (!nft)
		return -ENOMEM;
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_STATELESS);
	nft_ctx_buffer_output(nft);
	nft_ctx_buffer_error(nft);
	*ret = nft;
	return 0;
}

int guard_open(const char *pin_dir, struct guard **ret)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	int r;

	if (!guard)
		return -ENOMEM;
	r = open_nft(&guard->nft);
	if (r) {
		free(guard);
		return r;
	}
	table_name(pin_dir, guard->table);
	guard->bridge = true;
	*ret = guard;
	return 0;
}

void guard_close(struct guard **guard)
{
	if (!*guard)
		return;
	nft_ctx_free((*guard)->nft);
	free((*guard)->wanted);
	free((*guard)->in_force);
	free(*guard);
	*guard = NULL;
}

bool guard_name_ok(const char *device)
{
	for (const char *c = device; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_-.+@#%", *c))
			return false;
	return *device;
}

/* ---- the table */

static void print_set(FILE *out, const char *name, const struct guard_port *ports, size_t nr, bool marking_only)
{
	const char *separator = "elements = { ";

	fprintf(out, "\tset %s {\n\t\ttype ifname\n\t\t", name);
	for (size_t i = 0; i < nr; i++)
		if (ports[i].marks || !marking_only) {
			fprintf(out, "%s\"%s\"", separator, ports[i].device);
			separator = ", ";
		}
	fprintf(out, "%s\n\t}\n", *separator == ',' ? " }" : "");
}

static void print_chain(FILE *out, const char *hook, const char *rules)
{
	fprintf(out, "\tchain %s {\n\t\ttype filter hook %s priority -300; policy accept;\n%s\t}\n", hook, hook, rules);
}

/* `table T; delete table T; table T {...}`: whether it was there or not, one transaction. */
static void print_table(FILE *out, const char *family, const char *table, const struct guard_port *ports, size_t nr)
{
	char input[128];

	snprintf(input, sizeof(input), "\t\tiifname @marking meta mark != 0x%x drop\n", GUARD_MARK);
	fprintf(out, "table %s %s\ndelete table %s %s\ntable %s %s {\n", family, table, family, table, family, table);
	print_set(out, "ports", ports, nr, false);
	print_set(out, "marking", ports, nr, true);
	print_chain(out, "forward", "\t\tiifname @ports drop\n\t\toifname @ports drop\n");
	/* On a bridge, what a port sends must not come out as traffic of the bridge. */
	print_chain(out, strcmp(family, "bridge") ? "input" : "prerouting", input);
	fprintf(out, "}\n");
}

static char *describe(struct guard *guard, const struct guard_port *ports, size_t nr)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	print_table(out, "inet", guard->table, ports, nr);
	if (guard->bridge)
		print_table(out, "bridge", guard->table, ports, nr);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static char *list_tables(struct guard *guard)
{
	char command[96];
	char *text = NULL;

	snprintf(command, sizeof(command), "list table inet %s\n", guard->table);
	if (nft_run_cmd_from_buffer(guard->nft, command))
		return strdup("");
	if (asprintf(&text, "%s", nft_ctx_get_output_buffer(guard->nft)) < 0)
		return NULL;
	if (guard->bridge) {
		char *both = NULL;

		snprintf(command, sizeof(command), "list table bridge %s\n", guard->table);
		if (nft_run_cmd_from_buffer(guard->nft, command) ||
		    asprintf(&both, "%s%s", text, nft_ctx_get_output_buffer(guard->nft)) < 0)
			both = NULL;
		free(text);
		return both ? both : strdup("");
	}
	return text;
}

/* ---- the kernel's ruleset generation */

static int on_generation(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID && !mnl_attr_validate(attr, MNL_TYPE_U32))
			*(uint32_t *)data = ntohl(mnl_attr_get_u32(attr));
	}
	return MNL_CB_OK;
}

static int ask_generation(struct mnl_socket *socket, uint32_t *ret)
{
	char buffer[4096];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;
	uint32_t generation = 0;
	ssize_t n;

	message->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = 1;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = AF_UNSPEC;
	header->version = NFNETLINK_V0;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (n < 0 || mnl_cb_run(buffer, n, 1, mnl_socket_get_portid(socket), on_generation, &generation) < 0)
		return -errno;
	*ret = generation;
	return 0;
}

static int ruleset_generation(uint32_t *ret)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int r;

	if (!socket)
		return -errno;
	r = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : ask_generation(socket, ret);
	mnl_socket_close(socket);
	return r;
}

/* ---- without nftables */

static void write_zero(const char *format, const char *device)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), format, device);
	file = fopen(path, "we");
	if (!file)
		return; /* no such device yet, or no such family */
	(void)fputs("0\n", file);
	(void)fclose(file);
}

static int stop_forwarding(struct guard *guard, const struct guard_port *ports, size_t nr, char **ret_why)
{
	for (size_t i = 0; i < nr; i++) {
		write_zero("/proc/sys/net/ipv4/conf/%s/forwarding", ports[i].device);
		write_zero("/proc/sys/net/ipv6/conf/%s/forwarding", ports[i].device);
	}
	if (asprintf(ret_why,
		     "nftables does not work here (%.200s): while a hook is missing, the host may forward to a port",
		     nft_ctx_get_error_buffer(guard->nft)) < 0)
		*ret_why = NULL;
	return -EOPNOTSUPP;
}

static bool nftables_works(struct guard *guard)
{
	return !nft_run_cmd_from_buffer(guard->nft, "list tables\n");
}

/* Put `text` into force and remember how the kernel shows it. */
static int run(struct guard *guard, const char *text)
{
	uint32_t before = 0, after = 0;
	bool known = !ruleset_generation(&before);

	if (nft_run_cmd_from_buffer(guard->nft, text))
		return -EINVAL;
	free(guard->in_force);
	guard->in_force = list_tables(guard);
	known = known && !ruleset_generation(&after);
	/* One write, one generation; more: somebody else wrote as well, so the next check compares. */
	guard->generation = known && after == before + 1 ? after : 0;
	return guard->in_force ? 0 : -ENOMEM;
}

int guard_set(struct guard *guard, const struct guard_port *ports, size_t nr, char **ret_why)
{
	char *text = describe(guard, ports, nr);
	int r;

	if (!text)
		return -ENOMEM;
	if (guard->wanted && !strcmp(text, guard->wanted)) {
		free(text);
		return 0;
	}
	r = run(guard, text);
	if (r == -EINVAL && guard->bridge) {
		guard->bridge = false;
		free(text);
		text = describe(guard, ports, nr);
		r = text ? run(guard, text) : -ENOMEM;
	}
	if (!r) {
		free(guard->wanted);
		guard->wanted = text;
		return 0;
	}
	free(text);
	if (!nftables_works(guard))
		return stop_forwarding(guard, ports, nr, ret_why);
	if (asprintf(ret_why, "nftables refused the guard: %.300s", nft_ctx_get_error_buffer(guard->nft)) < 0)
		*ret_why = NULL;
	return r;
}

int guard_check(struct guard *guard)
{
	uint32_t generation = 0;
	char *listed;
	bool same;
	int r;

	if (!guard->wanted)
		return 0;
	r = ruleset_generation(&generation);
	if (r)
		return r;
	if (generation && generation == guard->generation)
		return 0;
	listed = list_tables(guard);
	if (!listed)
		return -ENOMEM;
	same = guard->in_force && !strcmp(listed, guard->in_force);
	free(listed);
	if (same) {
		guard->generation = generation;
		return 0;
	}
	r = run(guard, guard->wanted);
	return r ? r : 1;
}

int guard_remove(const char *pin_dir)
{
	static const char *const families[] = {"inet", "bridge"};
	char table[32], command[128];
	struct nft_ctx *nft;
	int r = open_nft(&nft);

	if (r)
		return r;
	table_name(pin_dir, table);
	for (size_t i = 0; i < 2; i++) {
		snprintf(command, sizeof(command), "list table %s %s\n", families[i], table);
		if (nft_run_cmd_from_buffer(nft, command))
			continue;
		snprintf(command, sizeof(command), "delete table %s %s\n", families[i], table);
		if (nft_run_cmd_from_buffer(nft, command))
			r = -EIO;
	}
	nft_ctx_free(nft);
	return r;
}

void guard_release(const char *pin_dir, const char *device)
{
	static const char *const sets[] = {"ports", "marking"};
	static const char *const families[] = {"inet", "bridge"};
	char table[32], command[160];
	struct nft_ctx *nft;

	if (!guard_name_ok(device) || open_nft(&nft))
		return;
	table_name(pin_dir, table);
	for (size_t i = 0; i < 4; i++) {
		snprintf(command, sizeof(command), "delete element %s %s %s { \"%s\" }\n", families[i / 2], table,
			 sets[i % 2], device);
		(void)nft_run_cmd_from_buffer(nft, command); /* fine if it is not in there */
	}
	nft_ctx_free(nft);
}
