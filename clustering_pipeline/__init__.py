"""Groups the product photos of a marketplace catalogue into clusters, one cluster per product
model.
"""
