"""evaluate of allspark."""
