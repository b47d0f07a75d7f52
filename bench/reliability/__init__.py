"""How often a lab comes back: rows of trials whose figures are docs/reliability.md."""
