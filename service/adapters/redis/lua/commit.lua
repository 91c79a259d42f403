-- Store a call if all preconditions hold. ARGV: 5 call, 6 version, 7 record (empty: it has ended), 8 token, 9 caller,
-- 10 callee, 11 nodes of its sessions, 12 what the others are told of its end (empty: it lives), 13 when it is to be
-- woken (ms; empty: never), then the preconditions as kind, subject, value:
--   v call version | f user '' | s user session
-- Gives 1, also where the same token was committed before; 0 if one does not hold.
local id, version, record, token = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local caller, callee, nodes = ARGV[9], ARGV[10], ARGV[11]
if is_fenced() then return fenced() end

local function holds(kind, subject, value)
  if kind == 'v' then
    return (redis.call('HGET', P .. 'call:' .. subject, 'v') or '0') == value
  elseif kind == 'f' then
    return not call_of(subject)
  end
  return redis.call('HEXISTS', P .. 'user:' .. subject, 's:' .. value) == 1
end

local before = redis.call('HMGET', P .. 'call:' .. id, 't', 'n')
if before[1] == token or redis.call('GET', P .. 'over:' .. id) == token then
  return 1
end
for i = 14, #ARGV, 3 do
  if not holds(ARGV[i], ARGV[i + 1], ARGV[i + 2]) then return 0 end
end
if record ~= '' then
  store_call(id, version, record, token, nodes, caller, callee)
  set_deadline(id, ARGV[13])
  tell_nodes(before[2], nodes, 'c', record)
  return 1
end
redis.call('DEL', P .. 'call:' .. id)
set_deadline(id, '')
redis.call('SET', P .. 'over:' .. id, token, 'PX', OVER_MS)
for _, user in ipairs({caller, callee}) do
  redis.call('DEL', missed_keys(id, user))
  if redis.call('HGET', P .. 'user:' .. user, 'c') == id then
    redis.call('HDEL', P .. 'user:' .. user, 'c')
  end
end
tell_nodes(before[2], nodes, 'e', id, 'f', ARGV[12])
return 1
