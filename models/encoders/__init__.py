"""What goes into each graph: texts, images, audio windows and vectors -> unit embeddings."""
