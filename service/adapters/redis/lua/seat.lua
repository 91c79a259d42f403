-- Let a session speak for a user. ARGV: 5 user, 6 session.
-- Gives: the displaced sessions, each with its node; the record of the user's call, if any.
local user, session = ARGV[5], ARGV[6]
if is_fenced() then return fenced() end
local key, displaced = P .. 'user:' .. user, {}
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local other, node = string.match(fields[i], '^s:(.*)$'), fields[i + 1]
  if other and other ~= session then
    redis.call('HDEL', key, fields[i])
    redis.call('HDEL', P .. 'own:' .. node, other)
    if node ~= ME then
      tell(node, 'u', user, 's', other)
    end
    table.insert(displaced, other)
    table.insert(displaced, node)
  end
end
redis.call('HSET', key, 's:' .. session, ME)
redis.call('HSET', P .. 'own:' .. ME, session, user)
local record = call_of(user)
if not record then
  redis.call('HDEL', key, 'c')
end
return {displaced, record}
