"""prompts of allspark."""
