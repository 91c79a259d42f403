-- Give up the lease. What is still owned is left to be cleared up, at once.
if redis.call('HGET', P .. 'epochs', ME) ~= EPOCH then
  return 0
end
if redis.call('EXISTS', P .. 'own:' .. ME) == 1 then
  redis.call('ZADD', P .. 'nodes', 0, ME)
else
  redis.call('ZREM', P .. 'nodes', ME)
  redis.call('DEL', P .. 'inbox:' .. ME)
end
redis.call('HDEL', P .. 'epochs', ME)
return 1
