"""Published network files, the graph that they are read into, and what is written from it."""
