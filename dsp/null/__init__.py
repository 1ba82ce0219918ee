"""The null test: align two recordings, subtract, explain what is left."""
