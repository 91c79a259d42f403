-- All nodes that have a lease, or had one and are not cleared up after yet.
return redis.call('ZRANGE', P .. 'nodes', 0, -1)
