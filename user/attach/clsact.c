/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libbpf speaks the netlink for the filter itself; what fails there fails as expected (no qdisc, no filter), or is
 * reported by the caller: libbpf need not tell it too. Whether others have filters beside ours is asked here. */
#include "attach/clsact.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "datapath/datapath.h"

#define PREFERENCE 1
#define HANDLE     1

static enum bpf_tc_attach_point point_of(bool egress)
{
	return egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
}

int clsact_attach(uint32_t ifindex, bool egress, int prog_fd)
{
	struct bpf_tc_hook both = {
		.sz = sizeof(both), .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS};
	struct bpf_tc_hook hook = {.sz = sizeof(hook), .ifindex = ifindex, .attach_point = point_of(egress)};
	struct bpf_tc_opts filter = {.sz = sizeof(filter),
				     .handle = HANDLE,
				     .priority = PREFERENCE,
				     .prog_fd = prog_fd,
				     .flags = BPF_TC_F_REPLACE};
	int r;

	libbpf_hush();
	r = bpf_tc_hook_create(&both);
	if (!r || r == -EEXIST)
		r = bpf_tc_attach(&hook, &filter);
	return r;
}

int clsact_program(uint32_t ifindex, bool egress, uint32_t *ret_id)
{
	struct bpf_tc_hook hook = {.sz = sizeof(hook), .ifindex = ifindex, .attach_point = point_of(egress)};
	struct bpf_tc_opts filter = {.sz = sizeof(filter), .handle = HANDLE, .priority = PREFERENCE};
	int r;

	libbpf_hush();
	r = bpf_tc_query(&hook, &filter);
	*ret_id = r ? 0 : filter.prog_id;
	/* no filter | no such qdisc | a qdisc that takes no filters | no device */
	return r == -ENOENT || r == -EINVAL || r == -EOPNOTSUPP || r == -ENODEV ? 0 : r;
}

static int count_filter(const struct nlmsghdr *message, void *data)
{
	if (message->nlmsg_type == RTM_NEWTFILTER)
		++*(unsigned *)data;
	return MNL_CB_OK;
}

static int dump_filters(struct mnl_socket *socket, uint32_t ifindex, uint32_t parent, unsigned *ret_count)
{
	char buffer[16384];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	unsigned seq = parent, count = 0;
	struct tcmsg *header;
	int r = MNL_CB_OK;
	ssize_t n;

	message->nlmsg_type = RTM_GETTFILTER;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = seq;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->tcm_ifindex = ifindex;
	header->tcm_parent = parent;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buffer, n, seq, mnl_socket_get_portid(socket), count_filter, &count);
	}
	if (r < 0)
		return -errno;
	*ret_count = count;
	return 0;
}

/* Does nobody else use the qdisc? When in doubt: somebody does. */
static bool qdisc_unused(uint32_t ifindex)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	unsigned in = 1, out = 1;
	bool unused;

	if (!socket)
		return false;
	unused = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
		 !dump_filters(socket, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), &in) &&
		 !dump_filters(socket, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS), &out) && !in && !out;
	mnl_socket_close(socket);
	return unused;
}

void clsact_detach(uint32_t ifindex, bool egress)
{
	struct bpf_tc_hook hook = {.sz = sizeof(hook), .ifindex = ifindex, .attach_point = point_of(egress)};
	struct bpf_tc_hook both = {
		.sz = sizeof(both), .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS};
	struct bpf_tc_opts filter = {.sz = sizeof(filter), .handle = HANDLE, .priority = PREFERENCE};

	libbpf_hush();
	(void)bpf_tc_detach(&hook, &filter);
	if (qdisc_unused(ifindex))
		(void)bpf_tc_hook_destroy(&both);
}
