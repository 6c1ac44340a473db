"""Outside storage: reading input files and publishing output, on local disks and through fsspec."""
