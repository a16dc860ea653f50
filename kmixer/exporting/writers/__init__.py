"""One module for each file format: a Keras model in, a file out."""
