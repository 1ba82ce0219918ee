"""The Textual face of the workflows."""
