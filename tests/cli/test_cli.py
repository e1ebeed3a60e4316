#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: test_cli.py PATH_TO_CLEAVE [NAME...]: use the program as its users do, and misuse it.

Prints a line a case; exit status 0 if all passed."""
import sys

sys.dont_write_bytecode = True
if len(sys.argv) < 2:
    sys.exit(__doc__)

# Importing them makes the list of cases.
import cases_locks
import cases_usage
import cases_course
import cases_results
import cases_scripts
import cases_arrangements
import program
if program.SIMULATES:
    import cases_same_again
    import cases_simulated
    import cases_validate

program.main()
