"""What the service survives. Short forms run with the suite; `make faults` runs them at full length."""
