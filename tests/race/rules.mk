# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# race: stress of what runs at the same time, with an independent walk over the tables. MINUTES can be set.

RACE_OBJ := $(patsubst %.c,$(O)/%.o,$(filter-out tests/race/flood%,$(sort $(wildcard tests/race/*.c))))
RACE := $(B)/tests/race/race
MINUTES ?= 10

# kept apart from the general rule for tests: several objects
$(RACE): $(RACE_OBJ) $(TEST_LIB_OBJ) $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@

TEST_PROGRAMS += $(RACE)
CHECKS += $(RACE)

race: $(RACE) ## two CPUs, sweeper, collector and edits against each other, 40 s (root)
	$(Q)tests/run $(RACE)

race-long: $(RACE) ## as race, MINUTES=10 each
	$(Q)RACE_SECONDS=$$(($(MINUTES) * 60)) tests/run -t $$(($(MINUTES) * 300 + 300)) $(RACE)

.PHONY: race race-long
