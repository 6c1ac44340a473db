"""What an application keeps on the disks of this host."""
