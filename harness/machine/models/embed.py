#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""embed.py OUT FILE...: write the machine files as a C table, clv_built_in of model_file.h.

Names and summaries are taken out of them here, so that listing machines parses nothing. What else
is in a file is checked where every file is: when it is loaded, by the tests."""
import json
import sys
from pathlib import Path


def quote(text):
    # JSON's escapes of printable ASCII are C's.
    assert text.isascii() and text.isprintable(), f'{text!r}: not printable ASCII'
    return json.dumps(text)


out, *files = sys.argv[1:]
rows = []
with open(out, 'w') as c:
    c.write('// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only\n')
    c.write('#include "model_file.h"\n')
    for number, file in enumerate(map(Path, files)):
        data = file.read_bytes()
        assert data.isascii(), f'{file}: not ASCII: it would not fit a signed char'
        whole = json.loads(data)
        assert whole['name'] == file.stem, f'{file}: the name in it is {whole["name"]}'
        name, summary = quote(whole['name']), quote(whole['summary'])
        rows.append(f'\t{{ {{ {name}, {summary} }},\n\t  {{ {name}, {summary}, true }},\n'
                    f'\t  text_{number}, sizeof(text_{number}) }},\n')
        c.write(f'\nstatic const char text_{number}[] = {{\n')
        for at in range(0, len(data), 16):
            c.write('\t' + ' '.join(f'{byte},' for byte in data[at:at + 16]) + '\n')
        c.write('};\n')
    c.write('\nconst struct clv_built_in clv_built_in[] = {\n' + ''.join(rows) + '};\n')
    c.write('const unsigned clv_built_ins = sizeof(clv_built_in) / sizeof(clv_built_in[0]);\n')
