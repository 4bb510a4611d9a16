"""bridges of allspark."""
