-- Put entries into the inboxes of nodes. ARGV: 5.. node and entry in turn. Gives for each 1, or 0 if it is not there.
if is_fenced() then return fenced() end
local sent, now = {}, now_ms()
for i = 5, #ARGV, 2 do
  local there = is_alive(ARGV[i], now) and redis.call('EXISTS', P .. 'inbox:' .. ARGV[i]) == 1
  if there then tell(ARGV[i], 'b', ARGV[i + 1]) end
  table.insert(sent, there and 1 or 0)
end
return sent
