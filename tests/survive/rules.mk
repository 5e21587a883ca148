# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Nothing open, nothing cut, nothing half-done: restarts, upgrades, deaths at every call, faults, bad weather.

SURVIVE_PROBER := $(B)/tests/survive/prober
SURVIVE_CLOCK := $(B)/tests/survive/clock.so
SURVIVE_AUDIT := $(B)/tests/survive/audit
SURVIVE_FAULT := $(B)/tests/survive/fault.so
SURVIVE_NTH := $(B)/tests/survive/nth
TEST_PROGRAMS += $(SURVIVE_PROBER) $(SURVIVE_AUDIT) $(SURVIVE_CLOCK) $(SURVIVE_FAULT) $(SURVIVE_NTH) \
	$(if $(LAYOUT),,layout)
CHECKS += $(sort $(wildcard tests/survive/test_*.py))
LONG_TESTS += survive-long crash-long weather-long

$(SURVIVE_CLOCK) $(SURVIVE_FAULT): $(B)/tests/survive/%.so: tests/survive/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -O2 -g -D_GNU_SOURCE -Wall -Wextra -shared -fPIC $< -o $@

layout: ## build/layout/enid: another record layout, for tests of an upgrade; compiled in half the time
	$(Q)$(MAKE) --no-print-directory LAYOUT=1 CFLAGS=-O1 all build/layout/tests/survive/audit

survive-long: all test-programs ## restarts, upgrades, starts, policy swaps by the thousand under load; 30 min (root)
	$(Q)SURVIVE_ROUNDS=1000 tests/run -t 86400 tests/survive/test_upgrade.py tests/survive/test_start.py

crash-long: all test-programs ## the agent dies, or fails, at 1,000 system calls; CRASH_SEED plays one run again (root)
	$(Q)CRASH_POINTS=1000 tests/run -t 86400 tests/survive/test_crash.py

weather-long: all test-programs ## devices and ports come and go by the thousand, eight agents at once fifty times (root)
	$(Q)WEATHER_DEVICES=5000 WEATHER_PORTS=1000 SURVIVE_EIGHT=50 tests/run -t 86400 tests/survive/test_weather.py \
		tests/survive/test_eight.py

.PHONY: layout survive-long crash-long weather-long
