"""The wire: one typed message per event each way, their codec, and the references generated from them."""
