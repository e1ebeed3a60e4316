#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""embed.py IN OUT SYMBOL: write IN's bytes as a C array SYMBOL_text, its size as SYMBOL_bytes."""
import sys

source, out, symbol = sys.argv[1:]
data = open(source, 'rb').read()
with open(out, 'w') as c:
    c.write('// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only\n')
    c.write('#include <stddef.h>\n\n')
    c.write(f'extern const char {symbol}_text[];\nextern const size_t {symbol}_bytes;\n\n')
    c.write(f'const char {symbol}_text[] = {{\n')
    for at in range(0, len(data), 16):
        c.write('\t' + ' '.join(f'{byte},' for byte in data[at:at + 16]) + '\n')
    c.write(f'}};\nconst size_t {symbol}_bytes = sizeof({symbol}_text);\n')
