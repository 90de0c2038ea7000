"""Optical density and stain separation of H-DAB pictures, pointwise and in float32."""
