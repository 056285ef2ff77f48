#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Writes the assembler stub and the C table that put a page's files into the program.

    embed.py OUT_DIR NAME PATH=FILE…

NAME_data.S and NAME_table.c define `const struct asset_table NAME`.

Each file goes in as it is and, where that saves a tenth or more, compressed. The entity tag is the
file's SHA-256, so a browser that holds the file asks and gets 304 until the file really changes.
"""
import gzip
import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html;charset=UTF-8",
    ".js": "text/javascript;charset=UTF-8",
    ".css": "text/css;charset=UTF-8",
    ".svg": "image/svg+xml",
}
HEAD = """/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors
 * Written by embed.py from the page's files; change those. */
"""


def blob(label, path):
    return (f"        .balign 8\n{label}:\n        .incbin \"{path}\"\n{label}_end:\n        .byte 0\n"
            f"        .global {label}, {label}_end\n")


def main():
    out, table = pathlib.Path(sys.argv[1]), sys.argv[2]
    stub, externs, rows = [HEAD, "        .section .rodata\n"], [], []
    for i, item in enumerate(sys.argv[3:]):
        served, path = item.split("=", 1)
        path = pathlib.Path(path).resolve()
        data = path.read_bytes()
        packed = gzip.compress(data, 9, mtime=0)
        name = f"{table}_{i}"
        stub.append(blob(name, path))
        externs.append(f"extern const char {name}[], {name}_end[];")
        zipped = "NULL, NULL"
        if len(packed) < len(data) * 0.9:
            gz = (out / f"{name}.gz").resolve()
            gz.write_bytes(packed)
            stub.append(blob(f"{name}_gz", gz))
            externs.append(f"extern const char {name}_gz[], {name}_gz_end[];")
            zipped = f"{name}_gz, {name}_gz_end"
        tag = hashlib.sha256(data).hexdigest()[:32]
        rows.append(f'        {{"{served}", "{TYPES[path.suffix]}", "\\"{tag}\\"", {name}, {name}_end, {zipped}}},')
    stub.append('        .section .note.GNU-stack,"",%progbits\n')
    (out / f"{table}_data.S").write_text("".join(stub))
    (out / f"{table}_table.c").write_text(
        HEAD + '#include "cloud/page/asset.h"\n\n#include <stddef.h>\n\n' + "\n".join(externs)
        + "\n\nstatic const struct asset files[] = {\n" + "\n".join(rows)
        + f"\n}};\nconst struct asset_table {table} = {{files, {len(rows)}}};\n")


if __name__ == "__main__":
    main()
