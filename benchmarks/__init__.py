"""How fast rddlite is: ratios to a hand-written limit, and what a job costs that does nothing."""
