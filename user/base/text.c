/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/text.h"

#include <string.h>

#include "base/base.h"

json_t *text_json(const char *text)
{
	json_t *value = json_string(text);
	_cleanup_free_ char *ascii = NULL;

	if (value)
		return value;
	ascii = strdup(text);
	for (char *c = ascii; c && *c; c++)
		*c = *c & 0x80 ? '?' : *c;
	return ascii ? json_string(ascii) : NULL;
}

size_t text_unprintable(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	if ((*c && *c < 0x20) || *c == 0x7f)
		return 1;
	if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
		return 2;
	if (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0x8e || c[2] == 0x8f || (c[2] >= 0xa8 && c[2] <= 0xae)))
		return 3;
	return c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9 ? 3 : 0;
}
