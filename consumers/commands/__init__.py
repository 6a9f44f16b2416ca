"""The words after `shoal`, one file each. A command reads the settings, calls one function and shows what it gave."""
