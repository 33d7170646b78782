"""All cases, by number."""

import closing_cases
import deflate_cases
import framing_cases
import size_cases
import text_cases

# The ones that are quick enough for every run, over TLS too.
BASE = [*framing_cases.CASES, *text_cases.CASES, *closing_cases.CASES, *size_cases.BASE_CASES]
LONG = list(size_cases.long_cases())
DEFLATE = deflate_cases.CASES
ALL = [*BASE, *LONG, *DEFLATE]


def by_number(cases):
    return {case.number: case for case in cases}
