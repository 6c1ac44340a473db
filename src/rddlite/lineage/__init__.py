"""What to compute: the lineage graph, record operations and consumers as plain data. Pure."""
