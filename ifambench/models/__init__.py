"""All models behind one `Classifier` interface."""
