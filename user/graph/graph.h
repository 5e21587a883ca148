/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The topology of a state as a graph: what stands in what, and who leads where.
 *
 * graph_build() gives {"nodes": [{"id", "kind", "text": [lines], "inside": id of a vpc or subnet | null, "missing"}],
 * "edges": [{"from", "to", "kind", "text", "dead"}]}. Kinds of nodes: vpc, subnet, eni, table, internet, and AWS's
 * words for the rest (internet-gateway, nat-gateway, ...). Kinds of edges: route, uses (subnet or gateway to its
 * table), attached, link. `dead`: nothing gets through: a blackhole, or a connection that is not up. `missing`: named
 * by a route, but not in the state. The order is that of the state's sorted lists: the same state gives the same text.
 */
#ifndef ENID_GRAPH_H
#define ENID_GRAPH_H

#include <jansson.h>
#include <stdio.h>

#include "state/state.h"

/* ret: a new object; NULL = no memory */
json_t *graph_build(const struct state *state);

/* As Graphviz reads it; dead edges and missing nodes are red. */
void graph_print_dot(FILE *out, const json_t *graph);

#endif
