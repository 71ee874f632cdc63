"""The published models: what each one is (a frozen spec) and its chain from a picture to results."""
