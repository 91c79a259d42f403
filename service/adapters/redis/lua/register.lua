-- Become a member, or stay one. ARGV: 5 lease (ms), 6 a random word.
-- Gives: the epoch, 1 if the inbox is new, the time (microseconds), the word of this Redis' life, the id of the
-- server's process. An epoch of 0: somebody is clearing up after this node; ask again.
local lease_ms = tonumber(ARGV[5])
redis.call('SET', P .. 'born', ARGV[6], 'NX')
local born = redis.call('GET', P .. 'born')
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local time_us = string.format('%.0f', time[1] * 1000000 + time[2])
if redis.call('EXISTS', P .. 'reap:' .. ME) == 1 then
  return {'0', 0, time_us, born, server}
end
local epoch = redis.call('HGET', P .. 'epochs', ME)
if EPOCH == '0' or epoch ~= EPOCH then
  local last = tonumber(redis.call('GET', P .. 'epoch') or '0')
  epoch = string.format('%.0f', math.max(last + 1, now)) -- rises even if Redis has forgotten the last one
  redis.call('SET', P .. 'epoch', epoch)
  redis.call('HSET', P .. 'epochs', ME, epoch)
end
redis.call('ZADD', P .. 'nodes', now + lease_ms, ME)
local is_new = 1 - redis.call('EXISTS', P .. 'inbox:' .. ME)
if is_new == 1 then
  redis.call('XADD', P .. 'inbox:' .. ME, '*', 'h', '1')
end
return {epoch, is_new, time_us, born, server}
