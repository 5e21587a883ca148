# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The oracle: a program of its own that shares no code with enid, so it links none of it.
# ORACLE_SEED, ORACLE_PACKETS, ORACLE_STATES and ORACLE_WITHOUT (traffic to leave out) can be set on the command line.

ORACLE_SRC := $(sort $(wildcard tests/oracle/*.c))
ORACLE_OBJ := $(ORACLE_SRC:%.c=$(O)/%.o)
ORACLE := $(B)/tests/oracle/differ
ORACLE_SEED ?= 1
ORACLE_PACKETS ?= 1000000
ORACLE_STATES ?= 300

$(ORACLE_OBJ): $(O)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -Itests/oracle $(CFLAGS) -MMD -MP -c $< -o $@ $(kept)

$(ORACLE): $(ORACLE_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ -ljansson -lm -o $@

# Each hook has seeds of its own: half of the packets and states are through one, half through the other, side by side.
ORACLE_HALF = $(ORACLE) --enid $(B)/enid --packets $$(($(ORACLE_PACKETS) / 2)) --states $$(($(ORACLE_STATES) / 2)) \
	--keep $(B)/oracle $(if $(ORACLE_WITHOUT),--without $(ORACLE_WITHOUT))

oracle: $(ORACLE) $(B)/enid ## the naive model against the real programs, random, a million packets, on both hooks
	$(Q)$(ORACLE_HALF) --hook xdp --seed $(ORACLE_SEED)8000000 & xdp=$$!; \
	$(ORACLE_HALF) --hook tc --seed $(ORACLE_SEED)0000000; tc=$$?; wait $$xdp && exit $$tc

oracle-long: $(ORACLE) $(B)/enid ## as oracle, fifty million packets for LONG_MINUTES=60, a new seed, both hooks
	$(Q)set -e; seed=$$(date +%s); for hook in tc xdp; do \
		$(ORACLE) --enid $(B)/enid --hook $$hook --seed $$seed --packets $$(($(LONG_MINUTES) * 420000)) \
			--states $$(($(LONG_MINUTES) * 84)) --keep $(B)/oracle; \
	done

# Identical tenants: 64 copies of a random world, all at once, through the real programs.
TENANTS_RUN = $(ORACLE) --enid $(B)/enid --tenants 64

tenants: $(ORACLE) $(B)/enid ## 64 tenants with the same addresses and packets: nothing crosses; on both hooks
	$(Q)set -e; for hook in tc xdp; do $(TENANTS_RUN) --hook $$hook --seed $(ORACLE_SEED) --packets 160000 --states 10; done

tenants-long: $(ORACLE) $(B)/enid ## as tenants, ten million packets for LONG_MINUTES=60, a new seed
	$(Q)$(TENANTS_RUN) --seed $$(date +%s) --packets $$(($(LONG_MINUTES) * 170000)) \
		--states $$(($(LONG_MINUTES) * 4 + 20))

# Questions to enid explain about the generator's states: its model and the programs must agree, and enid replay with both.
explain-long: $(ORACLE) $(B)/enid ## 100,000 random questions to enid explain, and reach at its edges, for LONG_MINUTES=60; a new seed
	$(Q)QUESTIONS=$$(($(LONG_MINUTES) * 1900 + 2000)) tests/cli/test_explain.py random_questions golden_states
	$(Q)STATES=$$(($(LONG_MINUTES) + 4)) tests/cli/test_reach.py random_states_at_their_edges

# What the model has no notion of (READINGS): rates, table limits, cutting, public pools, VPN attachments, NAT64, sums that
# are wrong from the start.
ORACLE_LACKS := rate-limit full-table not-always-answered cuts-what mtu-through-a-nat mtu-through-a-transit rt-23 tgw-09 \
	ep-01-nothing nat64 b1-inside-addresses-by d10-two-transit d7-wrong-sums eigw-shared-uplink-lets gwlb

golden: $(B)/enid ## worked examples with expectations by hand, on both hooks
	$(Q)/usr/bin/python3 tests/golden/run.py $(B)/enid

oracle-self: $(ORACLE) ## the model passes the golden cases itself, and the differ finds planted faults
	$(Q)/usr/bin/python3 tests/golden/run.py --hooks none --skip $(subst $() ,$(comma),$(ORACLE_LACKS)) $(ORACLE)
	$(Q)tests/mutants/run -k oracle-

.PHONY: oracle oracle-long oracle-self golden tenants tenants-long explain-long

CHECKS += 'make -s tenants'
LONG_TESTS += oracle-long oracle-self tenants-long explain-long
