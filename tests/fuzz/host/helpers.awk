# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# From libbpf's bpf_helper_defs.h: every helper as a function helper_NAME. One that helpers.c (read first) does not
# define may be declared but not called: the compiler then says so.
FILENAME ~ /helpers\.c$/ {
	if (match($0, /helper_[a-z0-9_]+\(/) && /^[a-z_]/)
		there[substr($0, RSTART + 7, RLENGTH - 8)] = 1
	next
}
/^struct [a-z0-9_]+;$/ { print }
/^static .*\(\*bpf_[a-z0-9_]+\)\(.*\) = \(void \*\) ?[0-9]+;$/ {
	match($0, /\(\*bpf_[a-z0-9_]+\)/)
	name = substr($0, RSTART + 6, RLENGTH - 7)
	type = substr($0, 8, RSTART - 8)
	arguments = substr($0, RSTART + RLENGTH)
	sub(/ = .*/, "", arguments)
	attribute = there[name] ? "" : " __attribute__((error(\"bpf_" name " is not in tests/fuzz/host/helpers.c: add it\")))"
	print type "helper_" name arguments attribute ";"
	print "#define bpf_" name "(...) helper_" name "(__VA_ARGS__)"
}
