"""The page on which people try a model, for the server and as a file by itself."""
