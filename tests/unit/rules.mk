# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Unit tests that are linked in their own way, and the long form of the tests with hostile states.

FAULTS_WRAPPED := malloc calloc realloc reallocarray strdup asprintf vasprintf
FAULTS_LDFLAGS := $(FAULTS_WRAPPED:%=-Wl,--wrap=%)
$(B)/tests/unit/test_faults: override LDFLAGS += $(FAULTS_LDFLAGS)

# The count is settable: ENID_HOSTILE_ROUNDS=0 tries everything there is to choose from, N times the short form otherwise.
hostile-long: export ENID_HOSTILE_ROUNDS ?= 0
hostile-long: export ENID_ROUNDS ?= 20000
hostile-long: all $(UNIT_BIN) ## hostile states: every path, every fault, sizes at the limits (root; minutes)
	$(Q)tests/run -t 7200 tests/cli/test_hostile.py tests/cli/test_hostile_verdicts.py tests/cli/test_hostile_sizes.py \
		$(B)/tests/unit/test_hostile_image $(B)/tests/unit/test_faults $(B)/tests/unit/test_state_hostile

# Hours of virtual time through the collector, each with a seed of its own.
books-long: export ENID_ROUNDS ?= 200
books-long: $(B)/tests/unit/test_flowlog_balance ## flow logs: exact books over many hours of random load (minutes)
	$(Q)tests/run -t 7200 $<

LONG_TESTS += hostile-long books-long

.PHONY: hostile-long books-long
