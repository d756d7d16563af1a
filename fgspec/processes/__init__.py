"""Many processes of one run: how they join, and who starts them again."""
