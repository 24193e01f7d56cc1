"""What everything else is built on: errors, manifests, engines, text, graphs and vectors.

It knows nothing of the rest.
"""
