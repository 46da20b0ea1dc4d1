"""What a user asks for: read from YAML and a command line, checked, refused in one line."""
