# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The kernels that enid must run on, as guests: 6.1 is the floor, 6.12 the next that Debian carries.
# Guests are 20 to 60 times slower: fewer cases and records, longer limits.

GUEST_LOAD := 'tests/kernels/load $(B)/gen/enid.bpf.o'
GUEST_GOLDEN := $(if $(wildcard tests/golden/run.py),'tests/kernels/golden --hook tc $(B)/enid')
GUEST_FULL := $(GUEST_LOAD) $(GUEST_GOLDEN) $(subst --hook tc,--hook xdp,$(GUEST_GOLDEN)) $(DATAPATH_BIN) \
	$(if $(wildcard tests/net/smoke),'ENID_SLOW=10 tests/net/smoke') 'ENID_SLOW=10 tests/kernels/hotplug'

test-kernels: all test-programs ## data-path tables and a smoke of the network tests under 6.1 and 6.12 (root, qemu)
	$(Q)for suite in bookworm bookworm-backports; do \
		tests/kernels/guest -t 3600 $$suite tests/run -t 1800 $(GUEST_FULL) || exit 1; done

test-kernel-6.1-short: all ## every program and the golden tables under Linux 6.1
	$(Q)tests/kernels/guest -t 840 bookworm tests/run -t 700 $(GUEST_LOAD) $(GUEST_GOLDEN)

test-weak-memory: ## the data path as CPUs with weak memory order need it: it builds, and loads here (root)
	$(Q)$(MAKE) --no-print-directory BPF_WEAK=1 build/weak/gen/enid.bpf.o
	$(Q)tests/kernels/load build/weak/gen/enid.bpf.o

CHECKS += 'make -s test-weak-memory'

.PHONY: test-kernels test-kernel-6.1-short test-weak-memory
