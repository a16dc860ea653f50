"""A run or an export that others can trust: signed, verified, published."""
