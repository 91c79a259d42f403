-- Write a call of this node again. ARGV: 5 call, 6 version, 7 record, 8 token, 9 caller, 10 callee, 11 nodes,
-- 12 '1' if it may be missing here though it lives: all its sessions are on this node, or Redis has forgotten.
-- Gives: 'ours', 'theirs' with their record where it is as new or newer, or 'over'.
local id, version, record, token = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local caller, callee, nodes, may_be_missing = ARGV[9], ARGV[10], ARGV[11], ARGV[12]
if is_fenced() then return fenced() end
local stored = redis.call('HMGET', P .. 'call:' .. id, 'v', 'd', 'n')
if stored[1] then
  if tonumber(stored[1]) >= tonumber(version) then
    return {'theirs', stored[2]}
  end
else
  if may_be_missing ~= '1' or redis.call('EXISTS', P .. 'over:' .. id) == 1 then return {'over'} end
  for _, user in ipairs({caller, callee}) do
    if call_of(user) then return {'over'} end -- engaged in another meanwhile
  end
end
store_call(id, version, record, token, nodes, caller, callee)
tell_nodes(stored[3], nodes, 'c', record)
return {'ours'}
