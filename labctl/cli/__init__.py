"""The command line: one thin file a command group, one error boundary (main), one place that draws (render)."""
