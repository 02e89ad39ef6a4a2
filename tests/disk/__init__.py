"""Full and read-only disks, made for real in a mount namespace of a process of its own."""
