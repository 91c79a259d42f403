-- Keep a relay for a party that is away. ARGV: 5 call, 6 version, 7 user, 8 relay, 9 its size, 10 most relays, 11 most
-- bytes. Gives -1 if the call is not the same any more, 0 if the relay does not fit, 1 if it is kept.
if is_fenced() then return fenced() end
if (redis.call('HGET', P .. 'call:' .. ARGV[5], 'v') or '0') ~= ARGV[6] then return -1 end
local relays, sums = missed_keys(ARGV[5], ARGV[7])
local size, over = unpack(redis.call('HMGET', sums, 'size', 'over'))
local full = redis.call('LLEN', relays) >= tonumber(ARGV[10]) or (size or 0) + ARGV[9] > tonumber(ARGV[11])
local fits = not over and not full
if fits then
  redis.call('RPUSH', relays, ARGV[8])
  redis.call('HINCRBY', sums, 'size', ARGV[9])
else
  redis.call('HINCRBY', sums, 'over', 1)
end
redis.call('PEXPIRE', relays, MISSED_MS)
redis.call('PEXPIRE', sums, MISSED_MS)
return fits and 1 or 0
