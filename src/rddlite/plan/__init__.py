"""Lineage to stages: settle deferred facts, refuse early, cut at wide dependencies, explain. Pure."""
