"""One optimiser step, the running average of weights, schedules and balanced sampling; no Ray."""
