"""The process that runs tasks: executor, zygote, workers."""
