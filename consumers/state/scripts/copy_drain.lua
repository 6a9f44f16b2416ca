-- Gives fields that changed since the copy began, as they are now, and notes them no more.
-- KEYS: meta, copying, outputs, then the hash of each kind. ARGV: who copies, seconds, number of this call, most fields, '1'
--       to end the copy when no change is left, then the kinds.
-- Gives {'drained', token and server, position, changes left, {kind, field, value or nil, ...}, outputs and the number of
-- fields of each hash at the end}, or {'lost'}: also when the call comes again, after its reply was lost.
local CHUNK = 1000
local meta, copying = KEYS[1], KEYS[2]
if redis.call('HGET', copying, '') ~= ARGV[1] then
  return {'lost'}
end
redis.call('EXPIRE', copying, ARGV[2])
if redis.call('HGET', copying, '#') == ARGV[3] then
  return {'lost'}
end
redis.call('HSET', copying, '#', ARGV[3])
local held = redis.call('HMGET', meta, 'token', 'position')
if redis.call('HGET', copying, '@') ~= held[2] then -- something wrote that does not note what it changes
  return {'lost'}
end
local known = redis.pcall('INFO', 'server')
local server = type(known) == 'string' and string.match(known, 'run_id:(%w+)') or ''
local hashes = {}
for index = 6, #ARGV do
  hashes[ARGV[index]] = KEYS[index - 2]
end

local changed, fields, taken = {}, {}, {}
for _, name in ipairs(redis.call('HKEYS', copying)) do
  local kind, field = string.match(name, '^([^:]+):(.*)$')
  if kind and #taken < tonumber(ARGV[4]) then
    taken[#taken + 1] = name
    fields[kind] = fields[kind] or {}
    table.insert(fields[kind], field)
  end
end
for kind, names in pairs(fields) do
  for first = 1, #names, CHUNK do
    local last = math.min(first + CHUNK - 1, #names)
    local values = redis.call('HMGET', hashes[kind], unpack(names, first, last))
    for index = first, last do
      changed[#changed + 1] = kind
      changed[#changed + 1] = names[index]
      changed[#changed + 1] = values[index - first + 1]
    end
  end
end
for first = 1, #taken, CHUNK do
  redis.call('HDEL', copying, unpack(taken, first, math.min(first + CHUNK - 1, #taken)))
end

local left = redis.call('HLEN', copying) - 3 -- beside '', '@' and '#'
local outputs, sizes = {}, {}
if left == 0 and ARGV[5] == '1' then
  outputs = redis.call('HGETALL', KEYS[3])
  for index = 4, #KEYS do
    sizes[index - 3] = redis.call('HLEN', KEYS[index])
  end
  redis.call('DEL', copying)
end
return {'drained', (held[1] or '') .. ' ' .. server, held[2] or '', left, changed, outputs, sizes}
