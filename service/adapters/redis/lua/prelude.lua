-- Stands before every script. Keys, all behind the prefix P:
--   nodes          sorted set: node -> end of its lease (ms, Redis time)
--   epochs         hash: node -> its fencing epoch; a write with another one is refused
--   epoch          the highest epoch that was given out
--   born           random; differs after Redis has lost its memory
--   user:<user>    hash: "s:<session>" -> node, "c" -> call id
--   own:<node>     hash: session -> user, for whoever clears up after the node
--   call:<call>    hash: v version, d record, t token of the commit, n nodes of its sessions, separated by spaces
--   over:<call>    token of the commit that ended it, for a minute: nobody may write it again
--   inbox:<node>   stream
--   deadlines      sorted set: call id -> when it is to be woken (ms, Redis time)
--   missed:<call>:<user>      list: relays for a party that is away
--   missed:<call>:<user>:sums hash: their size, over: how many did not fit
--   reap:<node>    who is clearing up after the node
local P, ME, EPOCH, NOT_AFTER = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local INBOX_ENTRIES, OVER_MS, MISSED_MS = 10000, 60000, 600000

local function missed_keys(call, user)
  local relays = P .. 'missed:' .. call .. ':' .. user
  return relays, relays .. ':sums'
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function is_alive(node, now)
  local lease = redis.call('ZSCORE', P .. 'nodes', node)
  return lease ~= false and tonumber(lease) >= now
end

local function is_fenced(now)
  now = now or now_ms()
  return now > NOT_AFTER or redis.call('HGET', P .. 'epochs', ME) ~= EPOCH or not is_alive(ME, now)
end

-- Also where the write comes too late: nobody waits for it, and it was told to have failed (a Redis that was frozen
-- finds such commands in its buffers).
local function fenced()
  return redis.error_reply('FENCED the lease of this node is over, or its write is late')
end

-- The record of a user's live call, or false. A pointer to a call that is not there counts as none.
local function call_of(user)
  local id = redis.call('HGET', P .. 'user:' .. user, 'c')
  return id and redis.call('HGET', P .. 'call:' .. id, 'd')
end

-- False if the node has no inbox.
local function tell(node, ...)
  return redis.call('XADD', P .. 'inbox:' .. node, 'NOMKSTREAM', 'MAXLEN', '~', INBOX_ENTRIES, '*', ...)
end

-- Tell the other nodes of a call what became of it.
local function tell_nodes(before, after, ...)
  local told = {[ME] = true}
  for _, words in ipairs({before or '', after or ''}) do
    for word in string.gmatch(words, '%S+') do
      if not told[word] then
        told[word] = true
        tell(word, ...)
      end
    end
  end
end

local function store_call(id, version, record, token, nodes, caller, callee)
  redis.call('HSET', P .. 'call:' .. id, 'v', version, 'd', record, 't', token, 'n', nodes)
  redis.call('HSET', P .. 'user:' .. caller, 'c', id)
  redis.call('HSET', P .. 'user:' .. callee, 'c', id)
end

-- When a call is to be woken (ms), or '' for never.
local function set_deadline(id, when)
  if when == '' then
    redis.call('ZREM', P .. 'deadlines', id)
  else
    redis.call('ZADD', P .. 'deadlines', when, id)
  end
end
