-- A user's sessions, each with its node; the record of his call, if any. ARGV: 5 user.
local sessions = {}
local fields = redis.call('HGETALL', P .. 'user:' .. ARGV[5])
for i = 1, #fields, 2 do
  local session = string.match(fields[i], '^s:(.*)$')
  if session then
    table.insert(sessions, session)
    table.insert(sessions, fields[i + 1])
  end
end
return {sessions, call_of(ARGV[5])}
