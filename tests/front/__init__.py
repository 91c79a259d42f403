"""The nodes behind HAProxy, as clients find them."""
