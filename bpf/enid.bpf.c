/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entry programs. (Skeleton of the real thing: names and sections are final, the pipeline is being written.) */
#include "maps.h"
#include <linux/pkt_cls.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tc") int tc_rx(struct __sk_buff *ctx) /* received on a port or uplink */
{
	return control.generation ? TC_ACT_SHOT : TC_ACT_SHOT;
}

SEC("tc") int tc_tx(struct __sk_buff *ctx) /* about to be sent out of a port */
{
	return replay ? TC_ACT_SHOT : TC_ACT_SHOT;
}

SEC("xdp") int xdp_rx(struct xdp_md *ctx) /* received on a port or uplink */
{
	return XDP_DROP;
}

SEC("tc") int start_sweeper(struct __sk_buff *ctx) /* run once by test_run: arms the timer */
{
	return 0;
}
