/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What pinned maps hold, for whoever has killed their agent: audit PIN_DIR dead|settled
 *
 * On stdout: the policy in force, as text (lib/maps_text.h). Checked: each live flow has its names (dead), or records,
 * names, free lists and budgets altogether (settled: an agent has started since). Nobody may send much meanwhile; what
 * is wrong for a moment only, because a packet is under way, is looked at again.
 * Exit code: 0, 1 = something is wrong (stderr), 3 = no set of this layout is in force. */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/internal.h"
#include "datapath/layout.h"
#include "enid/handover.h"
#include "lib/audit.h"
#include "lib/maps_text.h"

#define LOOKS    40
#define PAUSE_US 10000

/* While one set is taken over by another, the pins of the handover say which of the two judges. */
static bool in_force(const struct datapath *datapath, const char *pin_dir)
{
	char path[PATH_MAX];
	struct handover_phase phase;
	uint32_t zero = 0, hash = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/" HANDOVER_FOLDER "/handover_phase", pin_dir);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return true;
	(void)layout_name_is(strrchr(datapath->root, '/') + 1, &hash);
	if (bpf_map_lookup_elem(fd, &zero, &phase) < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
	if (!phase.layout[0] && !phase.layout[1])
		return true; /* a take-over that had not come to say anything: the set that is whole judges */
	return phase.layout[phase.flipped ? 1 : 0] == hash;
}

static const char *look(struct datapath *datapath, bool settled)
{
	struct audit audit;
	uint32_t seen;

	return settled ? audit_all(datapath, &audit) : audit_names_of_live(datapath, &seen);
}

int main(int argc, char **argv)
{
	struct datapath *datapath = NULL;
	const char *wrong = "";
	char *why = NULL, *text;
	bool settled;
	int r;

	if (argc != 3 || (strcmp(argv[2], "dead") != 0 && strcmp(argv[2], "settled") != 0))
		return 2;
	settled = !strcmp(argv[2], "settled");
	r = datapath_open(&(struct datapath_options){.pin_dir = argv[1], .read_only = true}, &datapath, &why);
	if (r == -ENOENT)
		return 3;
	if (r < 0) {
		fprintf(stderr, "audit: %s\n", why ? why : strerror(-r));
		return 1;
	}
	if (!in_force(datapath, argv[1]))
		return 3;
	for (int i = 0; wrong && i < LOOKS; i++) {
		if (i)
			(void)usleep(PAUSE_US);
		wrong = look(datapath, settled);
	}
	if (wrong)
		fprintf(stderr, "audit: %s\n", wrong);
	text = settled ? maps_text(datapath) : maps_text_in_force(datapath);
	fputs(text, stdout);
	free(text);
	datapath_close(&datapath);
	return wrong ? 1 : 0;
}
