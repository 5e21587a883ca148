/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "graph/graph.h"

static const struct style {
	const char *kind, *attributes;
} styles[] = {
	{"eni", "shape=box, style=rounded"},           {"table", "shape=note"},
	{"transit-gateway-route-table", "shape=note"}, {"internet", "shape=doublecircle"},
	{"internet-gateway", "shape=house"},           {"egress-only-internet-gateway", "shape=house"},
	{"virtual-private-gateway", "shape=house"},    {"nat-gateway", "shape=hexagon"},
	{"transit-gateway", "shape=octagon"},          {"vpc-peering-connection", "shape=diamond"},
	{"vpc-endpoint", "shape=component"},           {"missing", "shape=box, style=dashed, color=red, fontcolor=red"},
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* E32: names come from the state. */
static void put_quoted(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_label(FILE *out, const json_t *lines)
{
	json_t *line;
	size_t i;

	fputs("label=\"", out);
	json_array_foreach (lines, i, line) {
		fputs(i ? "\\n" : "", out);
		put_quoted(out, json_string_value(line));
	}
	fputc('"', out);
}

static const char *style_of(const char *kind)
{
	for (size_t i = 0; i < sizeof(styles) / sizeof(*styles); i++)
		if (!strcmp(styles[i].kind, kind))
			return styles[i].attributes;
	return "shape=box";
}

static bool is_cluster(const json_t *node)
{
	return !strcmp(text_of(node, "kind"), "vpc") || !strcmp(text_of(node, "kind"), "subnet");
}

static void put_inside(FILE *out, const json_t *nodes, const char *inside, int depth);

/* Edges end at nodes, so each cluster has a point of its own name. */
static void put_cluster(FILE *out, const json_t *nodes, const json_t *node, int depth)
{
	fprintf(out, "%*ssubgraph \"cluster_", depth * 2, "");
	put_quoted(out, text_of(node, "id"));
	fprintf(out, "\" {\n%*s", depth * 2 + 2, "");
	put_label(out, json_object_get(node, "text"));
	fprintf(out, ";\n%*s\"", depth * 2 + 2, "");
	put_quoted(out, text_of(node, "id"));
	fputs("\" [shape=point];\n", out);
	put_inside(out, nodes, text_of(node, "id"), depth + 1);
	fprintf(out, "%*s}\n", depth * 2, "");
}

static void put_node(FILE *out, const json_t *node, int depth)
{
	fprintf(out, "%*s\"", depth * 2, "");
	put_quoted(out, text_of(node, "id"));
	fputs("\" [", out);
	put_label(out, json_object_get(node, "text"));
	fprintf(out, ", %s];\n", style_of(text_of(node, "kind")));
}

static void put_inside(FILE *out, const json_t *nodes, const char *inside, int depth)
{
	json_t *node;
	size_t i;

	json_array_foreach (nodes, i, node) {
		if (strcmp(text_of(node, "inside"), inside) != 0)
			continue;
		if (is_cluster(node))
			put_cluster(out, nodes, node, depth);
		else
			put_node(out, node, depth);
	}
}

static void put_edge(FILE *out, const json_t *edge)
{
	const char *kind = text_of(edge, "kind");

	fputs("  \"", out);
	put_quoted(out, text_of(edge, "from"));
	fputs("\" -> \"", out);
	put_quoted(out, text_of(edge, "to"));
	fputs("\" [label=\"", out);
	put_quoted(out, text_of(edge, "text"));
	fputc('"', out);
	if (strcmp(kind, "route") != 0)
		fprintf(out, ", style=%s, arrowhead=none", strcmp(kind, "uses") ? "bold" : "dotted");
	fputs(json_is_true(json_object_get(edge, "dead")) ? ", color=red, fontcolor=red];\n" : "];\n", out);
}

void graph_print_dot(FILE *out, const json_t *graph)
{
	json_t *edge;
	size_t i;

	fputs("digraph enid {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=10];\n"
	      "  edge [fontname=\"sans-serif\", fontsize=9];\n",
	      out);
	put_inside(out, json_object_get(graph, "nodes"), "", 1);
	json_array_foreach (json_object_get(graph, "edges"), i, edge)
		put_edge(out, edge);
	fputs("}\n", out);
}
