"""The ports of more than one node, on one Redis 7 or Valkey 8.

What is in Redis is soft state. Each node is the authority for its own sockets and keeps a copy of their calls
(`copies.py`), so that calls between two sockets of one node go on while Redis is away, and an empty Redis is
written again. The order of things when Redis goes and comes is in `membership.py`; keys are listed in
`lua/prelude.lua`. One Redis, with replicas and Sentinel if need be: the scripts touch keys of many users, which
Redis Cluster does not allow.
"""
