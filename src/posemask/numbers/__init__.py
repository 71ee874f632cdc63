"""Maths on arrays, written once over the array's own namespace (numpy, torch, array_api_strict).

Shapes never depend on values, so that the same code runs inside a CUDA graph. Nothing here knows
pictures, runtimes, clocks or threads.
"""
