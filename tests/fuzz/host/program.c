/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The data path itself, compiled for the host, and what is in it. Every name but the host_* ones is made local to this
 * object afterwards: user/ has some of the same. */
#include "../../../bpf/enid.bpf.c"

#include "host.h"

#define HOST_MAP(name)
#define HOST_DATA(name)
#define HOST_PROGRAM(symbol, which) {#symbol, which, (int (*)(void *))(symbol)},
const struct host_program host_programs[] = {
#include "lists.h"
	{NULL, 0, NULL},
};

#undef HOST_MAP
#undef HOST_PROGRAM
#define HOST_PROGRAM(symbol, which)
#define HOST_MAP(symbol) {#symbol, &(symbol), sizeof(symbol)},
const struct host_symbol host_map_symbols[] = {
#include "lists.h"
	{NULL, NULL, 0},
};

#undef HOST_MAP
#undef HOST_DATA
#define HOST_MAP(symbol)
#define HOST_DATA(symbol) {#symbol, (void *)&(symbol), sizeof(symbol)},
const struct host_symbol host_data_symbols[] = {
#include "lists.h"
	{NULL, NULL, 0},
};

uint64_t host_policy_ask(uint32_t object, const void *peer, uint32_t identity, uint32_t service)
{
	return policy_ask(object, peer, identity, service);
}
