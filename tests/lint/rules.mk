# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# lint: format, warnings as errors, clang-tidy, cppcheck, shellcheck, and the rules that no tool knows.
# One stamp a file, as old as its object: a second run looks only at what changed.

LINT := $(B)/lint
C_SRC := $(USER_SRC) $(sort $(wildcard tests/*/*.c))
LINT_C := $(filter-out %.bpf.c,$(C_SRC))
LINT_BPF := $(BPF_SRC) $(filter %.bpf.c,$(C_SRC))
C_FILES := $(sort $(C_SRC) $(BPF_SRC) $(wildcard include/*/*.h bpf/*.h user/*.h user/*/*.h tests/*/*.h))
SCRIPTS := $(shell git ls-files --cached --others --exclude-standard 2>/dev/null | xargs grep -lE '^\#!(/usr)?/bin/(env )?(ba)?sh')
TIDY := clang-tidy --quiet --warnings-as-errors='*'
TIDY_BPF := -target bpf -O2 $(BPF_INCLUDES)
# $(1) = an object, the rest its compilation with warnings as errors, for an object that was made without keeping what was said
silent = if [ -e $(1).said ]; then [ ! -s $(1).said ] || { cat $(1).said; exit 1; }; else $(2); fi
# clang-tidy counts the warnings that it does not show; only what it shows is of interest
UNCOUNTED := grep -vE '^[0-9]+ warnings? (and [0-9]+ errors? )?generated|^Suppressed|^Use -'

$(LINT)/%.c.ok: $(O)/%.o .clang-tidy
	$(call say,LINT,$*.c)
	$(Q)mkdir -p $(@D)
	$(Q)$(call silent,$<,$(CC) $(CPPFLAGS) $(CFLAGS) -Itests -Werror -c $*.c -o $@.o)
	$(Q)$(TIDY) $*.c -- $(CPPFLAGS) -Itests -std=gnu11 > $@.log 2>&1 || { $(UNCOUNTED) $@.log; exit 1; }
	$(Q)touch $@

$(LINT)/bpf/%.bpf.c.ok: $(B)/gen/%.bpf.o .clang-tidy
	$(call say,LINT,bpf/$*.bpf.c)
	$(Q)mkdir -p $(@D)
	$(Q)$(call silent,$<,$(CLANG) $(BPF_CFLAGS) -Werror -c bpf/$*.bpf.c -o $@.o)
	$(Q)$(TIDY) bpf/$*.bpf.c -- $(TIDY_BPF) > $@.log 2>&1 || { $(UNCOUNTED) $@.log; exit 1; }
	$(Q)touch $@

$(LINT)/%.bpf.c.ok: %.bpf.c $(B)/gen/enid.bpf.o .clang-tidy
	$(call say,LINT,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -Werror -c $< -o $@.o
	$(Q)$(TIDY) $< -- $(TIDY_BPF) > $@.log 2>&1 || { $(UNCOUNTED) $@.log; exit 1; }
	$(Q)touch $@

lint-code: $(LINT_C:%=$(LINT)/%.ok) $(LINT_BPF:%=$(LINT)/%.ok)

lint-format:
	$(Q)clang-format --dry-run --Werror --ferror-limit=20 $(C_FILES)

lint-cppcheck:
	$(Q)mkdir -p $(LINT)/cppcheck
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
		--cppcheck-build-dir=$(LINT)/cppcheck -j 2 -Iinclude -Iuser -D_GNU_SOURCE \
		'-DLIBBPF_OPTS(type,name,...)=struct type name = {__VA_ARGS__}' '-Djson_object_foreach(o,k,v)=while (next(o,&k,&v))' \
		'-Djson_array_foreach(a,i,v)=while (next(a,&i,&v))' \
		'-Dmnl_attr_for_each(a,h,o)=while (next(&a,h,o))' --suppressions-list=tests/lint/cppcheck.txt $(USER_SRC)

lint-scripts:
	$(Q)shellcheck -x $(SCRIPTS)

lint-rules:
	$(Q)tests/lint/rules
	$(Q)tests/lint/state-page

lint: ## format, warnings as errors, clang-tidy, cppcheck, shellcheck, own rules
	$(Q)$(MAKE) --no-print-directory -k -j$(shell nproc) \
		lint-format lint-rules lint-scripts lint-cppcheck lint-code

analyze: $(USER_SRC:%=$(O)/%.analyzed) ## the clang static analyzer over user/ (slow; read its findings with doubt)

$(O)/%.c.analyzed: $(O)/%.o
	$(call say,ANALYZE,$*.c)
	$(Q)clang-tidy --quiet --checks='-*,clang-analyzer-*,-clang-analyzer-unix.Malloc,-clang-analyzer-optin.*' $*.c -- $(CPPFLAGS) -Itests -std=gnu11 2>/dev/null
	$(Q)touch $@

format: ## rewrite all C files by .clang-format
	$(Q)clang-format -i $(C_FILES)

.PHONY: lint analyze lint-code lint-format lint-cppcheck lint-scripts lint-rules format
