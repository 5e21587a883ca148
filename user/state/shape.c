/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Check the known keys of an object against the schema and reduce it to them: unknown keys and nulls go (JSON-03),
 * CIDRs lose host bits, words become lower case, protocols become integers. A value that is refused is taken out (list
 * elements become null) after its error is noted, so one pass finds all errors. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "state/cidr.h"
#include "state/load.h"

struct shaper {
	struct load *load;
	struct item *item;
	char path[STATE_PATH_MAX]; /* of the object at hand, "" = the item itself */
};

static bool reduce_object(struct shaper *shaper, json_t *object, const struct key *keys, bool inner);

static const char *kind_of(const json_t *value)
{
	static const char *const names[] = {"an object", "a list",    "a string",  "an integer",
					    "a number",  "a boolean", "a boolean", "null"};

	return names[json_typeof(value)];
}

#define REFUSE(shaper, ...) (state_error((shaper)->load, (shaper)->item, (shaper)->path, __VA_ARGS__), NULL)

static bool is_id(const char *text)
{
	size_t length = strlen(text);

	for (const char *c = text; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f)
			return false;
	return length > 0 && length < ID_MAX;
}

static bool is_device(const char *text)
{
	size_t length = strlen(text);

	return is_id(text) && length < 16 && !strpbrk(text, "/:") && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

static bool is_text(const char *text, size_t max)
{
	for (const char *c = text; *c; c++)
		if (text_unprintable(c))
			return false;
	return strlen(text) <= max;
}

/* "allow|deny" holds "deny" */
static bool in_words(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *w = words; *w; w += strcspn(w, "|"), w += *w == '|')
		if (strcspn(w, "|") == length && !strncmp(w, word, length))
			return true;
	return false;
}

static json_t *shape_word(struct shaper *shaper, const struct key *key, const char *text)
{
	char word[ID_MAX];
	size_t length = strlen(text);

	if (!is_id(text))
		return REFUSE(shaper, "%s '%.80s' is not a word of 1 to %d printable characters", key->name, text,
			      ID_MAX - 1);
	for (size_t i = 0; i <= length; i++)
		word[i] = (char)tolower((unsigned char)text[i]);
	if (key->words && !in_words(key->words, word) && key->open) {
		state_warn(shaper->load, shaper->item, shaper->path, "%s '%s' is not known: ignored", key->name, text);
		return json_null();
	}
	if (key->words && !in_words(key->words, word))
		return REFUSE(shaper, "%s '%.80s' is not one of %s", key->name, text, key->words);
	return need(shaper->load, json_string(word));
}

static json_t *shape_cidr(struct shaper *shaper, const struct key *key, const char *text)
{
	const char *want = key->type == V_CIDR4 ? "an IPv4 CIDR" : key->type == V_CIDR6 ? "an IPv6 CIDR" : "a CIDR";
	char canonical[CIDR_TEXT_MAX];
	struct cidr cidr;
	bool host_bits;

	if (cidr_parse(text, &cidr, &host_bits) || (key->type == V_CIDR4 && cidr.family != 4) ||
	    (key->type == V_CIDR6 && cidr.family != 6))
		return REFUSE(shaper, "%s '%.80s' is not %s", key->name, text, want);
	cidr_format(&cidr, canonical);
	if (host_bits)
		state_warn(shaper->load, shaper->item, shaper->path, "%s %s has host bits set: read as %s", key->name,
			   text, canonical);
	return need(shaper->load, json_string(canonical));
}

static json_t *shape_address(struct shaper *shaper, const struct key *key, const char *text)
{
	int want = key->type == V_IP4 ? 4 : key->type == V_IP6 ? 6 : 0;
	char canonical[CIDR_TEXT_MAX];
	union addr addr;
	int family = address_parse(text, &addr);

	if (family < 0 || (want && family != want))
		return REFUSE(shaper, "%s '%.80s' is not %s address", key->name, text,
			      want == 4   ? "an IPv4"
			      : want == 6 ? "an IPv6"
					  : "an IP");
	return need(shaper->load, json_string(address_format(family, &addr, canonical)));
}

static json_t *shape_mac(struct shaper *shaper, const struct key *key, const char *text)
{
	char canonical[18];
	uint8_t mac[6];

	if (mac_parse(text, mac) || (mac[0] & 1) || !memcmp(mac, "\0\0\0\0\0\0", 6))
		return REFUSE(shaper, "%s '%.80s' is not a unicast MAC address", key->name, text);
	snprintf(canonical, sizeof(canonical), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
	return need(shaper->load, json_string(canonical));
}

/* SG-05, NACL-07: a name or a number, as string or (seen in captures) as integer. */
static json_t *shape_protocol(struct shaper *shaper, const struct key *key, const json_t *value)
{
	static const struct {
		const char *name;
		int number;
	} names[] = {{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"icmpv6", 58}};
	const char *text = json_string_value(value);
	long long number;
	char *end;

	if (!text && !json_is_integer(value))
		return REFUSE(shaper, "%s is %s, not a string", key->name, kind_of(value));
	if (!text) {
		number = json_integer_value(value);
		if (number < -1 || number > 255)
			return REFUSE(shaper, "%s %lld is not within -1..255", key->name, number);
		return need(shaper->load, json_integer(number));
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcasecmp(text, names[i].name))
			return need(shaper->load, json_integer(names[i].number));
	number = strtoll(text, &end, 10);
	if (!*text || *end || isspace((unsigned char)*text) || *text == '+' || number < -1 || number > 255)
		return REFUSE(shaper, "%s '%.80s' is not tcp, udp, icmp, icmpv6 or a number within -1..255", key->name,
			      text);
	return need(shaper->load, json_integer(number));
}

static json_t *shape_string(struct shaper *shaper, const struct key *key, const json_t *value)
{
	const char *text = json_string_value(value);
	size_t max = key->max ? (size_t)key->max : TEXT_MAX;

	if (!text)
		return REFUSE(shaper, "%s is %s, not a string", key->name, kind_of(value));
	switch (key->type) {
	case V_TEXT:
		if (!is_text(text, max))
			return REFUSE(shaper, "%s is not printable text of at most %zu bytes", key->name, max);
		return need(shaper->load, json_string(text));
	case V_ID:
		if (!is_id(text))
			return REFUSE(shaper, "%s '%.80s' is not an id of 1 to %d printable characters", key->name,
				      text, ID_MAX - 1);
		return need(shaper->load, json_string(text));
	case V_DEVICE:
		if (!is_device(text))
			return REFUSE(shaper, "%s '%.80s' is not the name of a network device", key->name, text);
		return need(shaper->load, json_string(text));
	case V_WORD:
		return shape_word(shaper, key, text);
	case V_MAC:
		return shape_mac(shaper, key, text);
	case V_IP4:
	case V_IP6:
	case V_IP:
		return shape_address(shaper, key, text);
	default:
		return shape_cidr(shaper, key, text);
	}
}

static json_t *shape_integer(struct shaper *shaper, const struct key *key, const json_t *value)
{
	long long number = json_integer_value(value);

	if (!json_is_integer(value))
		return REFUSE(shaper, "%s is %s, not an integer", key->name, kind_of(value));
	if (number < key->min || number > key->max)
		return REFUSE(shaper, "%s %lld is not within %lld..%lld", key->name, number, key->min, key->max);
	return need(shaper->load, json_integer(number));
}

static json_t *shape_object(struct shaper *shaper, const struct key *key, json_t *value)
{
	size_t length = strlen(shaper->path);
	bool complete;

	if (!json_is_object(value))
		return REFUSE(shaper, "%s is %s, not an object", key->name, kind_of(value));
	snprintf(shaper->path + length, sizeof(shaper->path) - length, "%s%s", length ? "." : "", key->name);
	complete = reduce_object(shaper, value, key->keys, true);
	shaper->path[length] = '\0';
	return complete ? json_incref(value) : NULL;
}

static json_t *shape_element(struct shaper *shaper, const struct key *key, json_t *element)
{
	static const struct key id_element = KEY("element", V_ID), cidr_element = KEY("element", V_CIDR);

	if (json_is_null(element))
		return json_null();
	if (key->type == V_IDS)
		return shape_string(shaper, &id_element, element);
	if (key->type == V_CIDRS)
		return shape_string(shaper, &cidr_element, element);
	if (!json_is_object(element))
		return REFUSE(shaper, "is %s, not an object", kind_of(element));
	return reduce_object(shaper, element, key->keys, true) ? json_incref(element) : NULL;
}

/* Elements that are refused become null, so that the indexes of the others stay. */
static json_t *shape_list(struct shaper *shaper, const struct key *key, json_t *list)
{
	size_t length = strlen(shaper->path);
	json_t *element;
	size_t index;

	if (!json_is_array(list))
		return REFUSE(shaper, "%s is %s, not a list", key->name, kind_of(list));
	json_array_foreach (list, index, element) {
		json_t *shaped;

		snprintf(shaper->path + length, sizeof(shaper->path) - length, "%s%s[%zu]", length ? "." : "",
			 key->name, index);
		shaped = shape_element(shaper, key, element);
		shaper->path[length] = '\0';
		json_array_set_new(list, index, shaped ? shaped : json_null());
	}
	return json_incref(list);
}

/* ret: the value in its one spelling (a new reference), null = ignore it, or NULL after noting an error */
static json_t *shape_value(struct shaper *shaper, const struct key *key, json_t *value)
{
	switch (key->type) {
	case V_INT:
		return shape_integer(shaper, key, value);
	case V_BOOL:
		return json_is_boolean(value) ? json_incref(value)
					      : REFUSE(shaper, "%s is %s, not a boolean", key->name, kind_of(value));
	case V_PROTOCOL:
		return shape_protocol(shaper, key, value);
	case V_OBJECT:
		return shape_object(shaper, key, value);
	case V_LIST:
	case V_IDS:
	case V_CIDRS:
		return shape_list(shaper, key, value);
	default:
		return shape_string(shaper, key, value);
	}
}

static const struct key *find_key(const struct key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (!strcmp(keys->name, name))
			return keys;
	return NULL;
}

/* Captures print "" for text that is absent, in ids above all (JSON-03). Anywhere else it is a value of the wrong type:
 * taken for absent, it would switch off what a flag or a list says. */
static bool is_absent(const struct key *key, const json_t *value)
{
	const char *text = json_string_value(value);
	bool other = key->type == V_INT || key->type == V_BOOL || key->type == V_PROTOCOL || key->type >= V_OBJECT;

	return json_is_null(value) || (text && !*text && !key->required && !other);
}

static bool is_empty(const json_t *value)
{
	return (json_is_array(value) && !json_array_size(value)) || (json_is_object(value) && !json_object_size(value));
}

/* ret: whether all required keys are there */
static bool has_required(struct shaper *shaper, const json_t *object, const struct key *keys)
{
	bool complete = true;

	for (const struct key *key = keys; key->name; key++) {
		const json_t *value = json_object_get(object, key->name);

		if (!key->required || (value && !json_is_null(value)))
			continue;
		(void)REFUSE(shaper, "%s is missing", key->name);
		complete = false;
	}
	return complete;
}

/* inner: the object is a member of an item; there, an empty list is the same as none (JSON-03). In the item itself the
 * difference is kept until duplicates are compared (JSON-06). ret: whether all required keys are there and no value was
 * refused (elements of lists aside): what is not complete is taken out, lest one fault be told twice */
static bool reduce_object(struct shaper *shaper, json_t *object, const struct key *keys, bool inner)
{
	bool complete = has_required(shaper, object, keys);
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe (object, next, name, value) {
		const struct key *key = find_key(keys, name);
		bool wanted = key && !is_absent(key, value);
		json_t *shaped = wanted ? shape_value(shaper, key, value) : NULL;

		complete &= shaped || !wanted;
		if (shaped && !json_is_null(shaped) && !(inner && is_empty(shaped))) {
			/* may need memory although the key is there: the table may grow first */
			if (json_object_set_new(object, key->name, shaped))
				longjmp(*shaper->load->arena->failed, 1);
		} else {
			json_decref(shaped);
			json_object_del(object, name);
		}
	}
	return complete;
}

static const char *peek_id(struct shaper *shaper, const char *key)
{
	const char *id = key ? json_string_value(json_object_get(shaper->item->json, key)) : NULL;

	return id && is_id(id) ? state_arena_strdup(shaper->load->arena, id) : "";
}

void state_shape(struct load *load, struct item *item, const struct list_schema *schema)
{
	struct shaper shaper = {.load = load, .item = item, .path = ""};

	item->id = peek_id(&shaper, schema->id_key);
	item->id2 = peek_id(&shaper, schema->id2_key);
	reduce_object(&shaper, item->json, schema->keys, false);
}
