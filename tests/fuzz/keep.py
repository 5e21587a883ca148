#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Make tests/fuzz/corpus/<fuzzer>.b64 of folders of inputs: keep.py BUILD [FOLDER]

The fuzzer minimizes FOLDER/<fuzzer> (as BUILD/corpus; it must hold nothing that was bred from ../shared/data, which stays
out of the repo) by what each input covers; the shortest are kept, up to a size.
"""
import base64
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MOST = {"packet": 500000, "flow": 200000, "classify": 60000, "state": 450000, "replay": 250000}


def main(build, folder):
    os.makedirs(os.path.join(HERE, "corpus"), exist_ok=True)
    for name, most in MOST.items():
        with tempfile.TemporaryDirectory() as out:
            subprocess.run([os.path.join(build, "fuzz-" + name), "-merge=1", out, os.path.join(folder, name)],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            inputs = sorted((open(os.path.join(out, n), "rb").read() for n in os.listdir(out)), key=lambda x: (len(x), x))
        with open(os.path.join(HERE, "corpus", name + ".b64"), "w") as f:
            f.write("# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause\n")
            size = 0
            for one in inputs:
                size += len(one) * 4 // 3
                if size > most:
                    break
                f.write(base64.b64encode(one).decode() + "\n")
        print("%s: %d inputs" % (name, len(inputs)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else os.path.join(sys.argv[1], "corpus"))
