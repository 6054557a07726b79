"""What `run.py` and `replay.py` are made of: workloads, engines, measuring and reporting."""
