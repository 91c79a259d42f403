-- Let a session no longer speak for a user. ARGV: 5 user, 6 session. Gives 1, or 0 if it did not.
local user, session = ARGV[5], ARGV[6]
if is_fenced() then return fenced() end
local key = P .. 'user:' .. user
local node = redis.call('HGET', key, 's:' .. session)
if not node then
  redis.call('HDEL', P .. 'own:' .. ME, session)
  return 0
end
redis.call('HDEL', key, 's:' .. session)
redis.call('HDEL', P .. 'own:' .. node, session)
if redis.call('HLEN', key) == 1 and not call_of(user) then
  redis.call('HDEL', key, 'c') -- a pointer to a call that is not there
end
return 1
