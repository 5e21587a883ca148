/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "metrics/exposition.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

void exposition_begin(struct exposition *exposition, FILE *out, bool json)
{
	*exposition = (struct exposition){.out = out, .json = json};
	if (json)
		fputc('[', out);
}

static void end_family(struct exposition *exposition)
{
	if (exposition->json && exposition->family)
		fputs("]}", exposition->out);
	exposition->family = NULL;
	exposition->nr_samples = 0;
}

void exposition_family(struct exposition *exposition, const char *name, const char *type, const char *help)
{
	end_family(exposition);
	if (exposition->json)
		fprintf(exposition->out, "%s\n{\"name\": \"%s\", \"type\": \"%s\", \"help\": \"%s\", \"samples\": [",
			exposition->nr_families ? "," : "", name, type, help);
	else
		fprintf(exposition->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
	exposition->family = name;
	exposition->nr_families++;
}

/* Names come from the state: none may end its line, or its quotes (E32). */
static void put_text(FILE *out, const char *value)
{
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '\\' || c == '"')
			fputc('\\', out);
		fputc(c < ' ' || c == 0x7f ? '?' : c, out);
	}
}

static void put_json(FILE *out, const char *value)
{
	json_t *text = text_json(value);

	if (!text || json_print(text, out, JSON_ENCODE_ANY | JSON_ENSURE_ASCII))
		fputs("\"\"", out);
	json_decref(text);
}

static void put_labels(const struct exposition *exposition, const struct label *labels)
{
	FILE *out = exposition->out;

	for (size_t i = 0; labels && i < LABELS_MAX && labels[i].key; i++) {
		if (exposition->json)
			fprintf(out, "%s\"%s\": ", i ? ", " : "", labels[i].key);
		else
			fprintf(out, "%s%s=\"", i ? "," : "{", labels[i].key);
		(exposition->json ? put_json : put_text)(out, labels[i].value);
		if (!exposition->json)
			fputc('"', out);
	}
	if (!exposition->json && labels && labels[0].key)
		fputc('}', out);
}

static void put_sample(struct exposition *exposition, const char *suffix, const struct label *labels, const char *value)
{
	if (exposition->json) {
		fprintf(exposition->out, "%s\n  {\"name\": \"%s%s\", \"labels\": {", exposition->nr_samples ? "," : "",
			exposition->family, suffix);
		put_labels(exposition, labels);
		fprintf(exposition->out, "}, \"value\": %s}", value);
	} else {
		fprintf(exposition->out, "%s%s", exposition->family, suffix);
		put_labels(exposition, labels);
		fprintf(exposition->out, " %s\n", value);
	}
	exposition->nr_samples++;
}

void exposition_count(struct exposition *exposition, const char *suffix, const struct label *labels, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_sample(exposition, suffix, labels, text);
}

void exposition_real(struct exposition *exposition, const char *suffix, const struct label *labels, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.9g", value);
	put_sample(exposition, suffix, labels, text);
}

void exposition_end(struct exposition *exposition)
{
	end_family(exposition);
	if (exposition->json)
		fputs("\n]\n", exposition->out);
}
