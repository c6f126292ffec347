"""Models and latents to images."""
