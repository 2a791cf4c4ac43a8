"""One cache for several processes, projects and machines: who works where, who reads what, who waits."""
