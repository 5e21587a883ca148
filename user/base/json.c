/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/json.h"

#define DIGITS 15 /* that a double has, without its error in the 17th */

int json_print(const json_t *value, FILE *out, size_t flags)
{
	return json_dumpf(value, out, flags | JSON_REAL_PRECISION(DIGITS));
}
