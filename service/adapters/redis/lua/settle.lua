-- A deadline that was taken has been dealt with. ARGV: 5 call, 6 until when it was taken (ms). A new one stays.
local when = redis.call('ZSCORE', P .. 'deadlines', ARGV[5])
if when and tonumber(when) == tonumber(ARGV[6]) then
  redis.call('ZREM', P .. 'deadlines', ARGV[5])
end
return 1
