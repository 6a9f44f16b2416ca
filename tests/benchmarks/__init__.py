"""Speed, measured in one run beside a limit; never a timed assertion. `make bench` runs them all."""
