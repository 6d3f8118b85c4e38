"""An experiment file -> runs of every variant and seed, The Table over seeds, and a verdict on every hypothesis.

Read `plan` (what is to be done), `runs` (doing it), `results` (what it says) and `report` (saying it) in this order.
"""
