"""heads of allspark."""
