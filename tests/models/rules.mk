# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# models: the life of a flow record, checked whole by spin.

CHECKS += tests/models/check
LONG_TESTS += models-long

models: ## the model of record life, and each of its safeguards taken away (spin)
	$(Q)tests/run tests/models/check

models-long: ## as models, with a packet more
	$(Q)tests/run -t 7200 'tests/models/check -l'

.PHONY: models models-long
