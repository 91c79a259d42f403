-- Prolong the lease. ARGV: 5 lease (ms), 6 the last inbox entry that was read.
-- Gives: 1, or 0 if the lease was taken away; the time (microseconds); how many nodes live; then each node whose
-- lease is over, with its end.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('HGET', P .. 'epochs', ME) ~= EPOCH then
  return {0}
end
redis.call('ZADD', P .. 'nodes', now + tonumber(ARGV[5]), ME)
redis.call('XTRIM', P .. 'inbox:' .. ME, 'MINID', ARGV[6])
local over = redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', '(' .. now, 'WITHSCORES')
local living = redis.call('ZCARD', P .. 'nodes') - #over / 2
return {1, string.format('%.0f', time[1] * 1000000 + time[2]), living, unpack(over)}
