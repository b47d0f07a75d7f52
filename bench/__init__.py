"""Speed, measured as ratios of things that ran side by side: `python -m bench`."""
