/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* PeakBytesPerSecond and PeakPacketsPerSecond of NAT gateways (NAT-25): of a whole minute, the ten seconds with the
 * highest average. */
#ifndef ENID_AGENT_PEAKS_H
#define ENID_AGENT_PEAKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct peaks {
	json_t *before; /* by gateway: [bytes, packets] in all, at at_ns */
	json_t *minute; /* by gateway: the highest averages since the minute began */
	json_t *told;   /* by gateway: {"PeakBytesPerSecond", "PeakPacketsPerSecond"} of the last whole minute */
	uint64_t at_ns;
	unsigned int nr; /* averages of this minute */
};

#define PEAK_WINDOW_NS 10000000000ull
#define PEAK_WINDOWS   6 /* a minute */

/* rows: nat_gateways(), which this takes; it is due if PEAK_WINDOW_NS have passed since at_ns. ret: `told` is another
 */
bool peaks_sample(struct peaks *peaks, json_t *rows, uint64_t now_ns);
void peaks_done(struct peaks *peaks);

#endif
