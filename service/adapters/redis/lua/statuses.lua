-- Who of these users is online (1) and in a call (2), added up, in their order. ARGV: 5 and on: users.
local found = {}
for i = 5, #ARGV do
  local status = call_of(ARGV[i]) and 2 or 0
  for _, field in ipairs(redis.call('HKEYS', P .. 'user:' .. ARGV[i])) do
    if string.sub(field, 1, 2) == 's:' then
      status = status + 1
      break
    end
  end
  table.insert(found, status)
end
return found
