/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands: a line here, a file cmd_NAME.c, nothing else. Each gets argv with its own name first and returns the
 * exit code: 0 done, 1 failed, 2 misuse. That name is "enid NAME", with which all complaints begin: getopt's, and ours,
 * which go through warnx(). */
#ifndef ENID_COMMANDS_H
#define ENID_COMMANDS_H

#define ENID_VERSION "0.1"

#define ENID_COMMANDS(X) \
	X(check, "parse and validate a desired state") \
	X(run, "the agent: keep the kernel equal to the desired state") \
	X(plan, "what a desired state would change, and which live flows it would end") \
	X(status, "agent, ports, counters, what needs attention") \
	X(show, "what the kernel holds, in resource names") \
	X(logs, "flow log records") \
	X(metrics, "counters and gauges for Prometheus") \
	X(capture, "packets of a port with the verdict on each, as pcapng or lines") \
	X(top, "who is busy: ENIs, flows, rules, drops") \
	X(replay, "run packets through the data path and print what becomes of them") \
	X(explain, "one packet's way there and back: each decision, the rule behind it") \
	X(reach, "who reaches whom on what: the whole matrix") \
	X(graph, "the topology of a desired state as Graphviz") \
	X(export, "the policy between a host's ports as rules for nftables") \
	X(services, "what the host's dnsmasq needs to serve DHCP and DNS") \
	X(detach, "remove programs, pins and rules")

#define X(name, summary) int cmd_##name(int argc, char **argv);
ENID_COMMANDS(X)
#undef X

#endif
