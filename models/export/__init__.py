"""Trained networks to ONNX graphs, with the parity of the two measured."""
