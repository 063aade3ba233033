"""Runs the tests of smstat that test_smstat.sh has prepared; prints what fails, and counts."""
import sys

import dishonest
import honest
import manual
import refusals
import rig

for module in [refusals, dishonest, manual, honest]:
    module.check()
print(f"{rig.counts['checks']} checks, {rig.counts['failures']} failures")
sys.exit(rig.counts["failures"] > 0)
