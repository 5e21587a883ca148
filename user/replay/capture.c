/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "replay/capture.h"

#include <errno.h>
#include <pcap/pcap.h>

#include "base/base.h"

/* Opened with nanosecond precision, so tv_usec holds nanoseconds. */
static uint64_t frame_ns(const struct pcap_pkthdr *header)
{
	return (uint64_t)header->ts.tv_sec * 1000000000 + (uint64_t)header->ts.tv_usec;
}

/* Frames stand in a capture in about the right order only: time stands still rather than fall. */
static int read_frames(pcap_t *capture, const char *path, capture_frame each, void *context, char **ret_why)
{
	struct pcap_pkthdr *header;
	uint64_t first_ns = 0, at_ns = 0;
	const u_char *frame;
	int r = 0, next = 0;

	while (!r && (next = pcap_next_ex(capture, &header, &frame)) == 1) {
		first_ns = first_ns ? first_ns : frame_ns(header);
		if (frame_ns(header) > first_ns + at_ns)
			at_ns = frame_ns(header) - first_ns;
		r = each(context, at_ns, frame, header->caplen, header->len);
	}
	if (!r && next == PCAP_ERROR)
		return refuse(ret_why, -EIO, "%s: %s", path, pcap_geterr(capture));
	return r;
}

int capture_read(const char *path, capture_frame each, void *context, char **ret_why)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *capture = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
	int r;

	if (!capture)
		return refuse(ret_why, -EINVAL, "cannot read '%s' as a capture: %s", path, error);
	if (pcap_datalink(capture) == DLT_EN10MB)
		r = read_frames(capture, path, each, context, ret_why);
	else
		r = refuse(ret_why, -EINVAL, "%s: frames of link type %s, not Ethernet", path,
			   pcap_datalink_val_to_name(pcap_datalink(capture)) ?: "unknown");
	pcap_close(capture);
	return r;
}
