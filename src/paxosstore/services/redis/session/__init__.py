"""What a client's session is set to, and the commands that concern it or its node alone."""
