# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# From bpf/*.h and *.c: the names of maps, of variables that user space sees, and of entry programs.
/^} [a-z0-9_]+ SEC\("\.maps"\)/ { print "HOST_MAP(" $2 ")" }
/^const volatile / { sub(/( =|;).*/, ""); print "HOST_DATA(" $NF ")" }
/^[a-z].* SEC\("\.data\.[a-z_]+"\)/ { sub(/ SEC.*/, ""); print "HOST_DATA(" $NF ")" }
section && /^int [a-z0-9_]+\(/ { sub(/^int /, ""); sub(/\(.*/, ""); print "HOST_PROGRAM(" $0 ", " section ")" }
{ section = /^SEC\("(tc|classifier|tcx)/ ? "HOST_TC" : /^SEC\("xdp/ ? "HOST_XDP" : "" }
