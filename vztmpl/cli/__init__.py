"""The command line: parses, joins the parts, shows errors. No other logic."""
