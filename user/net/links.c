/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two sockets: one listens, the other asks, so that answers and news never mix. */
#include "net/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MESSAGES_BYTES 65536
#define BACKLOG_BYTES  (8 << 20) /* thousands of devices may come at once */

struct links {
	struct mnl_socket *news;
	struct mnl_socket *ask;
	char buffer[MESSAGES_BYTES];
};

struct listener {
	link_fn fn;
	void *data;
};

static int open_socket(unsigned groups, int flags, struct mnl_socket **ret)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		mnl_socket_close(socket);
		return r;
	}
	*ret = socket;
	return 0;
}

int links_open(struct links **ret)
{
	struct links *links = calloc(1, sizeof(*links));
	int bytes = BACKLOG_BYTES, r;

	if (!links)
		return -ENOMEM;
	r = open_socket(RTMGRP_LINK, SOCK_NONBLOCK, &links->news);
	if (!r)
		r = open_socket(0, 0, &links->ask);
	if (r) {
		links_close(&links);
		return r;
	}
	/* Without the right to force it the default stands; a lost message is noticed either way. */
	(void)setsockopt(mnl_socket_get_fd(links->news), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	*ret = links;
	return 0;
}

void links_close(struct links **links)
{
	if (!*links)
		return;
	if ((*links)->news)
		mnl_socket_close((*links)->news);
	if ((*links)->ask)
		mnl_socket_close((*links)->ask);
	free(*links);
	*links = NULL;
}

int links_fd(const struct links *links)
{
	return mnl_socket_get_fd(links->news);
}

static void read_linkinfo(const struct nlattr *info, struct net_link *link)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND && !mnl_attr_validate(attr, MNL_TYPE_STRING))
			strncpy(link->kind, mnl_attr_get_str(attr), sizeof(link->kind) - 1);
	}
}

static void read_attribute(const struct nlattr *attr, struct net_link *link)
{
	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		if (!mnl_attr_validate(attr, MNL_TYPE_STRING))
			strncpy(link->name, mnl_attr_get_str(attr), sizeof(link->name) - 1);
		break;
	case IFLA_LINKINFO:
		if (!mnl_attr_validate(attr, MNL_TYPE_NESTED))
			read_linkinfo(attr, link);
		break;
	case IFLA_LINK_NETNSID:
		link->peer_elsewhere = true;
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attr) == sizeof(link->mac))
			memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
		break;
	case IFLA_MTU:
		if (!mnl_attr_validate(attr, MNL_TYPE_U32))
			link->mtu = mnl_attr_get_u32(attr);
		break;
	case IFLA_MASTER:
		if (!mnl_attr_validate(attr, MNL_TYPE_U32))
			link->master = mnl_attr_get_u32(attr);
		break;
	}
}

static int on_message(const struct nlmsghdr *message, void *data)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct listener *listener = data;
	const struct nlattr *attr;
	struct net_link link = {};

	if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK)
		return MNL_CB_OK;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) || header->ifi_family != AF_UNSPEC)
		return MNL_CB_OK;
	link.ifindex = header->ifi_index;
	link.type = header->ifi_type;
	link.up = header->ifi_flags & IFF_UP;
	link.running = header->ifi_flags & IFF_RUNNING;
	mnl_attr_for_each(attr, message, sizeof(*header))
	{
		read_attribute(attr, &link);
	}
	listener->fn(&link, message->nlmsg_type == RTM_DELLINK, listener->data);
	return MNL_CB_OK;
}

int links_dump(struct links *links, link_fn fn, void *data)
{
	struct listener listener = {fn, data};
	unsigned port = mnl_socket_get_portid(links->ask), seq = time(NULL);
	struct nlmsghdr *message = mnl_nlmsg_put_header(links->buffer);
	struct ifinfomsg *header;
	ssize_t n;
	int r = MNL_CB_OK;

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = seq;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ifi_family = AF_UNSPEC;
	if (mnl_socket_sendto(links->ask, message, message->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(links->ask, links->buffer, sizeof(links->buffer));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(links->buffer, n, seq, port, on_message, &listener);
	}
	return r == MNL_CB_STOP ? 0 : -errno;
}

int links_read(struct links *links, link_fn fn, void *data)
{
	struct listener listener = {fn, data};
	ssize_t n;

	for (;;) {
		n = mnl_socket_recvfrom(links->news, links->buffer, sizeof(links->buffer));
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		if (mnl_cb_run(links->buffer, n, 0, 0, on_message, &listener) < 0)
			return -errno;
	}
}
