"""What is wrong with a spec, and the lines that say where and how to mend it."""
