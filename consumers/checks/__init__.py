"""Is everything there that a worker needs?"""
