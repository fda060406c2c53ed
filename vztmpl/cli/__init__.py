"""The command line: parses, joins the parts, shows errors and progress. No other logic."""
