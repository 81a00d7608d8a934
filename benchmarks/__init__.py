"""Side-by-side measurements that anyone can repeat: each module is a command that prints what the docs state."""
