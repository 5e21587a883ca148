# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# race, floods: what runs at the same time, and what comes in masses, with an independent walk over the tables.
# LONG_MINUTES can be set.

RACE_OBJ := $(patsubst %.c,$(O)/%.o,$(filter-out tests/race/floods.c,$(sort $(wildcard tests/race/*.c))))
RACE := $(B)/tests/race/race
FLOODS := $(B)/tests/race/floods

# kept apart from the general rule for tests: several objects
$(RACE): $(RACE_OBJ)
$(FLOODS): $(O)/tests/race/floods.o $(O)/tests/race/logsum.o
$(RACE) $(FLOODS): $(TEST_LIB_OBJ) $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@

TEST_PROGRAMS += $(RACE) $(FLOODS)
CHECKS += $(RACE) $(FLOODS)
LONG_TESTS += race-long floods-long

race: $(RACE) ## two CPUs, sweeper, collector and edits against each other, 40 s (root)
	$(Q)tests/run $(RACE)

race-long: $(RACE) ## as race, a sixth of LONG_MINUTES=60 each
	$(Q)RACE_SECONDS=$$(($(LONG_MINUTES) * 10)) tests/run -t $$(($(LONG_MINUTES) * 60 + 600)) $(RACE)

floods: $(FLOODS) ## SYN, UDP, echo, reject and fragment floods against a small table (root)
	$(Q)tests/run $(FLOODS)

floods-long: $(FLOODS) ## as floods, with a table of a million flows
	$(Q)FLOODS_RECORDS=1048576 tests/run -t 3600 $(FLOODS)

.PHONY: race race-long floods floods-long
