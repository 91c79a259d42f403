-- Take over what a dead node owned. ARGV: 5 the node, 6 how long the claim holds (ms), 7 how many sessions to give.
-- Gives sessions and users in turn; nothing left means that the node is gone for good; nil: not mine to do.
local node, claim = ARGV[5], P .. 'reap:' .. ARGV[5]
if is_fenced() or is_alive(node, now_ms()) then
  return false
end
local holder = redis.call('GET', claim)
if holder and holder ~= ME then
  return false
end
redis.call('SET', claim, ME, 'PX', ARGV[6])
redis.call('HDEL', P .. 'epochs', node)
redis.call('DEL', P .. 'inbox:' .. node) -- should it come back, it must ask what became of its calls
local owned = redis.call('HSCAN', P .. 'own:' .. node, 0, 'COUNT', ARGV[7])[2]
if #owned == 0 then
  redis.call('DEL', P .. 'own:' .. node, claim)
  redis.call('ZREM', P .. 'nodes', node)
end
return owned
