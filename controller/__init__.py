"""Floor 3: what an engineer does, from project and mix to prints and comparison, and the faces of it."""
