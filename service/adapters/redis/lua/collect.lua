-- Take what was kept for a party: its relays, their size, how many did not fit. ARGV: 5 call, 6 user.
if is_fenced() then return fenced() end
local relays, sums = missed_keys(ARGV[5], ARGV[6])
local size, over = unpack(redis.call('HMGET', sums, 'size', 'over'))
local found = {redis.call('LRANGE', relays, 0, -1), tonumber(size or 0), tonumber(over or 0)}
redis.call('DEL', relays, sums)
return found
