# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Seeded bugs: MUTANTS=beginning,... chooses among them; MUTANTS_SEED draws another sample than this hour's.

MUTANTS ?=

mutants: all test-programs ## plant every seeded bug and see its tests go red (an hour; root)
	$(Q)tests/mutants/run -j $(shell nproc) $(if $(MUTANTS),-k $(MUTANTS))

mutants-sample: all ## three of them
	$(Q)tests/mutants/run -j $(shell nproc) --sample 3 $(if $(MUTANTS_SEED),--seed $(MUTANTS_SEED))

CHECKS += 'make -s mutants-sample' tests/mutants/table
LONG_TESTS += mutants

.PHONY: mutants mutants-sample
