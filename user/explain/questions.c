/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <err.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/json.h"
#include "explain/report.h"
#include "explain/session.h"

/* ret: false = not a number from 0 to max */
static bool read_number(const char *word, long max, int *ret)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(word, &end, 10);
	if (errno || end == word || *end || number < 0 || number > max)
		return false;
	*ret = (int)number;
	return true;
}

static bool read_icmp(const char *word, struct question *ret)
{
	const char *colon = strchr(word, ':');
	char type[8];

	if (!colon)
		return read_number(word, 255, &ret->icmp_type);
	if (colon - word >= (ptrdiff_t)sizeof(type))
		return false;
	memcpy(type, word, (size_t)(colon - word));
	type[colon - word] = '\0';
	return read_number(type, 255, &ret->icmp_type) && read_number(colon + 1, 255, &ret->icmp_code);
}

int question_read(const char *from, const char *to, const char *protocol, const char *port, const char *source_port,
		  const char *icmp, const char *family, struct question *ret, char **ret_why)
{
	*ret = (struct question){
		.from = from, .to = to, .port = -1, .source_port = -1, .icmp_type = -1, .icmp_code = -1};
	if (!from || !to)
		return refuse(ret_why, -EINVAL, "a question needs both ends, from and to");
	ret->protocol = protocol ? protocol_number(protocol) : IPPROTO_TCP;
	if (ret->protocol < 0)
		return refuse(ret_why, -EINVAL, "'%s' is no protocol", protocol);
	if (port && !read_number(port, 65535, &ret->port))
		return refuse(ret_why, -EINVAL, "'%s' is no port", port);
	if (source_port && !read_number(source_port, 65535, &ret->source_port))
		return refuse(ret_why, -EINVAL, "'%s' is no port", source_port);
	if (icmp && !read_icmp(icmp, ret))
		return refuse(ret_why, -EINVAL, "'%s' is no ICMP type", icmp);
	if (family && (!read_number(family, 6, &ret->family) || (ret->family != 4 && ret->family != 6)))
		return refuse(ret_why, -EINVAL, "family is 4 or 6, not '%s'", family);
	return 0;
}

/* A text, or a number as text. `room` keeps the latter. */
static const char *word_of(const json_t *line, const char *key, char room[24])
{
	const json_t *value = json_object_get(line, key);

	if (json_is_integer(value)) {
		(void)snprintf(room, 24, "%lld", (long long)json_integer_value(value));
		return room;
	}
	return json_string_value(value);
}

/* A word that nobody knows would be another question's. */
static int check_words(const json_t *line, char **ret_why)
{
	static const char *const words[] = {"from",      "to",     "protocol", "port", "source-port",
					    "icmp-type", "family", "vpc",      "via"};
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)line, key, value) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			known = known || !strcmp(key, words[i]);
		if (!known)
			return refuse(ret_why, -EINVAL, "a question has no '%s'", key);
	}
	return 0;
}

static int answer_line(struct explain_session *session, const json_t *line, FILE *out, char **ret_why)
{
	char rooms[5][24];
	struct question question;
	struct answer answer;
	int r = check_words(line, ret_why);

	if (!r)
		r = question_read(word_of(line, "from", rooms[0]), word_of(line, "to", rooms[0]),
				  word_of(line, "protocol", rooms[0]), word_of(line, "port", rooms[1]),
				  word_of(line, "source-port", rooms[2]), word_of(line, "icmp-type", rooms[3]),
				  word_of(line, "family", rooms[4]), &question, ret_why);
	if (r)
		return r;
	question.vpc = json_string_value(json_object_get(line, "vpc"));
	question.via = json_string_value(json_object_get(line, "via"));
	r = ask(&session->asked, &question, &answer, ret_why);
	if (r)
		return r;
	r = report_json(&session->asked, &answer, out, JSON_COMPACT);
	return r ? r : answer.there.differs[0] || answer.back.differs[0] ? 3 : answer.found ? 0 : 1;
}

int questions_answer(struct explain_session *session, const char *file, FILE *out)
{
	FILE *from = strcmp(file, "-") ? fopen(file, "re") : stdin;
	size_t room = 0, n = 0;
	char *text = NULL;
	int worst = 0;

	if (!from) {
		warnx("cannot read '%s': %s", file, strerror(errno));
		return 1;
	}
	while (getline(&text, &room, from) > 0) {
		json_t *line = json_loads(text, 0, NULL);
		char *why = NULL;
		int r = line ? answer_line(session, line, out, &why) : refuse(&why, -EINVAL, "no JSON object");

		n++;
		if (r < 0) {
			json_t *error = json_pack("{s:s}", "Error", why ? why : strerror(-r));

			(void)json_print(error, out, JSON_COMPACT);
			fputc('\n', out);
			json_decref(error);
			warnx("line %zu: %s", n, why ? why : strerror(-r));
		} else if (r == 3) {
			warnx("line %zu: disagreement", n);
		}
		r = r < 0 ? 2 : r;
		worst = r > worst ? r : worst;
		free(why);
		json_decref(line);
	}
	free(text);
	if (from != stdin)
		(void)fclose(from);
	return worst;
}
