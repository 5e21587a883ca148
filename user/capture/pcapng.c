/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/pcapng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

/* Host byte order throughout: the section's header says which that is. */
enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
};

enum {
	OPT_END = 0,
	OPT_COMMENT = 1,
	SHB_OS = 3,
	SHB_APPLICATION = 4,
	IF_NAME = 2,
	IF_DESCRIPTION = 3,
	IF_RESOLUTION = 9,
	EPB_FLAGS = 2,
	EPB_VERDICT = 7,
	ISB_RECEIVED = 4,
	ISB_DROPPED = 5,
};

#define LINK_ETHERNET 1
#define LINK_RAW      101
#define OPTION_MAX    65532u /* its length has 16 bits */

/* A block in the making. */
struct block {
	uint8_t *bytes;
	size_t len, size;
	bool broken; /* no memory */
};

static void put(struct block *block, const void *bytes, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3, size = 2 * (block->len + padded);

	if (block->broken)
		return;
	if (block->len + padded > block->size) {
		uint8_t *grown = realloc(block->bytes, size);

		if (!grown) {
			block->broken = true;
			return;
		}
		block->bytes = grown;
		block->size = size;
	}
	if (len)
		memcpy(block->bytes + block->len, bytes, len);
	memset(block->bytes + block->len + len, 0, padded - len);
	block->len += padded;
}

static void put32(struct block *block, uint32_t value)
{
	put(block, &value, sizeof(value));
}

static void put_time(struct block *block, uint64_t at_ns)
{
	put32(block, (uint32_t)(at_ns >> 32));
	put32(block, (uint32_t)at_ns);
}

static void put_option(struct block *block, uint16_t code, const void *value, size_t len)
{
	uint16_t head[2] = {code, (uint16_t)(len < OPTION_MAX ? len : OPTION_MAX)};

	put(block, head, sizeof(head));
	put(block, value, head[1]);
}

static void put_text(struct block *block, uint16_t code, const char *text)
{
	put_option(block, code, text, strlen(text));
}

static struct block begin(uint32_t type)
{
	struct block block = {};

	put32(&block, type);
	put32(&block, 0); /* the length: end() */
	return block;
}

static int end(const struct pcapng *pcapng, struct block *block)
{
	uint32_t len = (uint32_t)block->len + 4;
	int r = 0;

	put32(block, len);
	errno = 0;
	if (block->broken)
		r = -ENOMEM;
	else
		memcpy(block->bytes + 4, &len, sizeof(len));
	if (!r && fwrite(block->bytes, 1, block->len, pcapng->file) != block->len)
		r = errno ? -errno : -EIO;
	free(block->bytes);
	return r;
}

int pcapng_begin(struct pcapng *pcapng, FILE *file)
{
	struct block block = begin(BLOCK_SECTION);
	const uint16_t version[2] = {1, 0};
	const int64_t unknown = -1;

	*pcapng = (struct pcapng){.file = file};
	put32(&block, 0x1a2b3c4d);
	put(&block, version, sizeof(version));
	put(&block, &unknown, sizeof(unknown)); /* how long the section is */
	put_text(&block, SHB_OS, "Linux");
	put_text(&block, SHB_APPLICATION, "enid " ENID_VERSION);
	put32(&block, OPT_END);
	return end(pcapng, &block);
}

int pcapng_interface(struct pcapng *pcapng, const char *name, const char *device, bool raw, uint32_t snap,
		     uint32_t *ret)
{
	struct block block = begin(BLOCK_INTERFACE);
	const uint16_t link[2] = {raw ? LINK_RAW : LINK_ETHERNET, 0};
	const uint8_t nanoseconds = 9;

	put(&block, link, sizeof(link));
	put32(&block, snap);
	put_text(&block, IF_NAME, name);
	if (*device)
		put_text(&block, IF_DESCRIPTION, device);
	put_option(&block, IF_RESOLUTION, &nanoseconds, sizeof(nanoseconds));
	put32(&block, OPT_END);
	*ret = pcapng->nr_interfaces++;
	return end(pcapng, &block);
}

static void put_verdict(struct block *block, const struct pcapng_packet *packet)
{
	uint8_t value[9] = {(uint8_t)packet->hook};

	memcpy(value + 1, &packet->code, sizeof(packet->code));
	put_option(block, EPB_VERDICT, value, sizeof(value));
}

int pcapng_packet(struct pcapng *pcapng, const struct pcapng_packet *packet)
{
	struct block block = begin(BLOCK_PACKET);
	const uint32_t flags = packet->outbound ? 2 : 1;

	put32(&block, packet->interface);
	put_time(&block, packet->at_ns);
	put32(&block, packet->captured);
	put32(&block, packet->len);
	put(&block, packet->bytes, packet->captured);
	put_text(&block, OPT_COMMENT, packet->comment);
	put_option(&block, EPB_FLAGS, &flags, sizeof(flags));
	put_verdict(&block, packet);
	put32(&block, OPT_END);
	return end(pcapng, &block);
}

int pcapng_statistics(struct pcapng *pcapng, uint32_t interface, uint64_t at_ns, uint64_t seen, uint64_t lost)
{
	struct block block = begin(BLOCK_STATISTICS);

	put32(&block, interface);
	put_time(&block, at_ns);
	put_option(&block, ISB_RECEIVED, &seen, sizeof(seen));
	put_option(&block, ISB_DROPPED, &lost, sizeof(lost));
	put32(&block, OPT_END);
	return end(pcapng, &block);
}
