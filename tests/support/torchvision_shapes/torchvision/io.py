"""`transformers` imports the module; nothing in it is called."""
