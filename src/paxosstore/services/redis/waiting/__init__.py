"""Commands that wait until there is something for them: room.py knows who waits for what, command.py tries."""
