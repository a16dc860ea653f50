"""An exported model behind HTTP: TensorFlow Serving's REST calls, and a page for people."""
