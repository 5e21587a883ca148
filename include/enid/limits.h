/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sizes that kernel and user side agree on. A state that needs more is refused whole (VPC-20). */
#ifndef ENID_LIMITS_H
#define ENID_LIMITS_H

#define ID_MAX                64    /* bytes of an AWS id, with its NUL */
#define PORTS_MAX             32768 /* ENIs and uplinks of one state; number 0 is nobody */
#define SUBNETS_MAX           16384 /* number 0 is no subnet */
#define SUBNET_CIDRS6_MAX     5     /* VPC-08 */
#define VPC_CIDRS_MAX         128   /* what is compared with each other must stay few (E17) */
#define ENI_ADDRESSES_MAX     1024
#define HOSTS_MAX             4096
#define PEERINGS_MAX          4096
#define GATEWAYS_MAX          8192 /* gateways of one state that are stations of a walk; number 0 is none */
#define GATEWAY_MEMBERS_MAX   32   /* addresses of a NAT gateway, zones of an attachment, uplinks of an ECMP group */
#define AZS_MAX               16   /* availability zones of one attachment */
#define ADDRESSES_MAX         1048576
#define ASSOCIATIONS_MAX      131072
#define ROUTES_MAX            4194304
#define TABLES_MAX            32768 /* route table versions, the old ones of a change included; number 0 is none */
#define EXITS_FORESEEN        16384 /* a power of two */
#define DEVICES_NEAR          65536 /* interface indexes below this are found in an array */
#define POLICY_LINES_DEFAULT  (1u << 20)
#define FLOWS_RUN_DEFAULT     1048576
#define FLOWS_REPLAY_DEFAULT  262144
#define FRAGMENTS_MAX         262144
#define FRAGMENTS_PER_PORT    16384
#define TALLIES_MAX           65536
#define EXTENSION_HEADERS_MAX 8    /* V6-06 */
#define EVENT_RATE            1000 /* perf events a second and port */
#define FRAGMENT_MEMORY_S     30
#define FRAGMENT_RATE         1024   /* packets a second and ENI (ENI-15) */
#define LINK_LOCAL_RATE       1024   /* packets a second and ENI (DNS-04) */
#define ANSWER_RATE           1000   /* ICMP errors and resets a second and ENI (MTU-02) */
#define MIRROR_RATE           262144 /* copies a second and traffic mirror session (TM-15) */
#define ENI_MTU               9001   /* what an ENI sends and takes at the most */
#define CUT_MAX               9216   /* bytes of an IP packet that is cut into fragments */
#define CUT_PIECES_MAX        64
#define CUT_ROOM(mtu, header) (((mtu) - (header)) & ~7u) /* payload of a fragment that is not the last */
#define NAT_PORT_FIRST        1024                       /* NAT-03 */
#define NAT_PORTS             64512                      /* ... to 65535 */
#define NAT_PORTS_LIMIT       55000  /* mappings per address, destination, port and protocol (NAT-04) */
#define NAT_IDLE_S            350    /* NAT-08 */
#define NAT_SHORT_S           60     /* half-open, and after the close (NAT-09) */
#define NAT_PORT_TRIES        4096   /* ports that are tried for a mapping */
#define NAT_USES              262144 /* counters of mappings by destination; a power of two */
#define GWLB_TARGETS_MAX      24     /* appliances behind a Gateway Load Balancer endpoint */
#define GWLB_TCP_IDLE_S       350    /* EP-09, if the state does not say */
#define GWLB_IDLE_S           120    /* ... of everything but TCP */
#define GENEVE_PORT           6081
#define GENEVE_ROOM           68           /* outer IPv4, UDP, GENEVE and its three options (EP-08) */
#define LIMBO_NS              100000000ull /* between the last name of a record and its reuse */

#endif
