#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `make demo` shows what README.md says of it: as many lines as expected, none that is not, and nothing stays behind.
top=$(cd "$(dirname "$0")/../.." && pwd)
before=$(ip netns list | grep -c "^demo-")
said=$("$top/tests/demo/demo" 2>&1)
status=$?
after=$(ip netns list | grep -c "^demo-")
promised=$(grep -o '[0-9]* as expected, 0 not' "$top/README.md")
failed=0

check() { # NAME GOOD?
	if [ "$2" = 0 ]; then
		echo "ok $1"
	else
		echo "FAIL $1"
		failed=$((failed + 1))
	fi
}

check "the demo ends well" $status
printf '%s\n' "$said" | grep -q "^$promised;"
check "it prints what the README promises: $promised" $?
[ "$before" = "$after" ]
check "no namespace stays ($before before, $after after)" $?
[ $failed = 0 ] || printf '%s\n' "$said"
echo "$((3 - failed)) passed, $failed failed"
[ $failed = 0 ]
