-- Write deadlines. ARGV: 5.. call and time (ms; empty: none) in turn.
if is_fenced() then return fenced() end
for i = 5, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('ZREM', P .. 'deadlines', ARGV[i])
  else
    redis.call('ZADD', P .. 'deadlines', ARGV[i + 1], ARGV[i])
  end
end
return 1
