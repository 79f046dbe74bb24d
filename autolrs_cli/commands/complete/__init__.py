"""TAB completion: what may stand at the cursor, and the lines that teach a shell to ask."""
