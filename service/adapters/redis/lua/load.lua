-- The record of a call. ARGV: 5 call.
return redis.call('HGET', P .. 'call:' .. ARGV[5], 'd')
