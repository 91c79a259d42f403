-- Take the deadlines that have come. ARGV: 5 for how long (ms) until somebody else may, 6 how late (ms) they must be
-- (negative: how early they may be), 7 how many at most, 8 one call alone, or empty.
-- Gives the calls and, last, the time until which they are taken.
if is_fenced() then return fenced() end
local now = now_ms()
local until_ms = now + tonumber(ARGV[5])
local latest, due = now - tonumber(ARGV[6]), {}
if ARGV[8] == '' then
  due = redis.call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', latest, 'LIMIT', 0, ARGV[7])
else
  local when = redis.call('ZSCORE', P .. 'deadlines', ARGV[8])
  if when and tonumber(when) <= latest then due = {ARGV[8]} end
end
for _, id in ipairs(due) do
  redis.call('ZADD', P .. 'deadlines', 'XX', until_ms, id)
end
table.insert(due, string.format('%.0f', until_ms))
return due
