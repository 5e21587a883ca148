/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A state file of any bytes: refused with a reason, or applied whole; applied again it changes nothing. */
#include <stdlib.h>

#include "audit.h"
#include "compile/image.h"
#include "datapath/datapath.h"
#include "feed.h"
#include "host/host.h"
#include "state/state.h"

#define ENTRIES_MAX 32768

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply(const struct image *image)
{
	const struct datapath_options options = {.replay = true, .flows_max = 16, .policy_lines = ENTRIES_MAX};
	struct apply_result first = {}, second = {};
	struct datapath *datapath = NULL;
	char *why = NULL;
	int r;

	host_entries_max = ENTRIES_MAX;
	MUST(!datapath_open(&options, &datapath, &why), "%s", why ? why : "no memory");
	r = datapath_apply(datapath, image, &first, &why);
	MUST(!r || why, "refused without a word: %d", r);
	if (!r) {
		r = datapath_apply(datapath, image, &second, &why);
		MUST(!r && !second.kernel_writes && !second.changed, "applied twice: %d, %u writes, %u changes, %s", r,
		     second.kernel_writes, second.changed, why ? why : "");
	}
	free(why);
	datapath_close(&datapath);
}

static void compile(const struct state *state, const struct host *host)
{
	struct image *image = NULL;
	char *why = NULL;
	int r = compile_image(state, host, &image, &why);

	MUST(!r || why, "not compiled, without a word: %d", r);
	if (!r)
		apply(image);
	free(why);
	image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed feed = feed_make(data, size);
	const char *const path = feed.path;
	struct state_messages messages = {};
	struct state *state = NULL;
	int r = state_load(&path, 1, &state, &messages);

	MUST(!r == !messages.nr_errors && !r == !!state, "%d with %zu errors", r, messages.nr_errors);
	for (size_t i = 0; state && i < state->nr_hosts && i < 2; i++)
		compile(state, &state->hosts[i]);
	state_messages_done(&messages);
	state_free(&state);
	feed_done(&feed);
	return 0;
}
