"""Objects to bytes and back: records, functions, failures; and the hash that places keys."""
