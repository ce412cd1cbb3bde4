"""Published messages and who gets them: hub.py."""
