-- Write this node's seats again. ARGV: 5.. user and session in turn.
-- Gives the sessions that have lost their seat to one of another node meanwhile.
if is_fenced() then return fenced() end
local lost, now = {}, now_ms()
for i = 5, #ARGV, 2 do
  local user, session = ARGV[i], ARGV[i + 1]
  local key, taken = P .. 'user:' .. user, false
  local fields = redis.call('HGETALL', key)
  for j = 1, #fields, 2 do
    local other, node = string.match(fields[j], '^s:(.*)$'), fields[j + 1]
    if other and other ~= session then
      if node ~= ME and is_alive(node, now) then
        taken = true
      else
        redis.call('HDEL', key, fields[j])
        redis.call('HDEL', P .. 'own:' .. node, other)
      end
    end
  end
  if taken then
    redis.call('HDEL', key, 's:' .. session)
    redis.call('HDEL', P .. 'own:' .. ME, session)
    table.insert(lost, session)
  else
    redis.call('HSET', key, 's:' .. session, ME)
    redis.call('HSET', P .. 'own:' .. ME, session, user)
  end
end
return lost
