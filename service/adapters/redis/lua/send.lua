-- Put entries into the inboxes of nodes. ARGV: 5.. node and entry in turn. Gives for each 1, or 0 if it is not there.
local now = now_ms()
if is_fenced(now) then return fenced() end
local sent = {}
for i = 5, #ARGV, 2 do
  local there = is_alive(ARGV[i], now) and tell(ARGV[i], 'b', ARGV[i + 1])
  table.insert(sent, there and 1 or 0)
end
return sent
