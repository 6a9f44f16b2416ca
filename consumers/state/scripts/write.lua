-- Applies one batch: all of it or nothing.
-- KEYS: meta, outputs, copying, then one hash for each kind that changed.
-- ARGV: token, expected position ('' for none), position, committed position ('' for none), outputs ('' for none),
--       then for each of those hashes: number of fields to set, field, value, ..., number of fields to delete, field, ...
-- Gives {'written'}, {'done'} when this batch had been written before, or {'stale', token and position found}.
local CHUNK = 1000 -- arguments of one call: unpack has a limit of some thousands
local meta, outputs, copying = KEYS[1], KEYS[2], KEYS[3]
local token, expected, position, committed, data = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local held = redis.call('HMGET', meta, 'token', 'position')
local at = held[2] or ''
if held[1] ~= token or (at ~= expected and at ~= position) then
  return {'stale', held[1] or '', at}
end
if at ~= expected then
  return {'done'}
end

-- The first write is one that a full Redis refuses; after it, none is refused any more.
redis.call('HSET', meta, 'position', position)
if data ~= '' then
  redis.call('HSET', outputs, position, expected .. ':' .. data)
end
if committed ~= '' then
  for _, stop in ipairs(redis.call('HKEYS', outputs)) do
    if tonumber(stop) <= tonumber(committed) then
      redis.call('HDEL', outputs, stop)
    end
  end
end

-- While somebody copies the cell, the names of what changes are noted for the copy, and up to where they are.
local noting = redis.call('EXISTS', copying) == 1
if noting then
  redis.call('HSET', copying, '@', position)
end
local place = 6
local function note(key, last, step)
  local kind, noted = string.match(key, '[^:]*$'), {}
  for index = place, last, step do
    noted[#noted + 1] = kind .. ':' .. ARGV[index]
    noted[#noted + 1] = ''
    if #noted >= CHUNK then
      redis.call('HSET', copying, unpack(noted))
      noted = {}
    end
  end
  if #noted > 0 then
    redis.call('HSET', copying, unpack(noted))
  end
end

local function apply(command, key, count, step)
  local last = place + count - 1
  if noting then
    note(key, last, step)
  end
  while place <= last do
    local stop = math.min(place + CHUNK - 1, last)
    redis.call(command, key, unpack(ARGV, place, stop))
    place = stop + 1
  end
end

for index = 4, #KEYS do
  local fields = tonumber(ARGV[place])
  place = place + 1
  apply('HSET', KEYS[index], 2 * fields, 2)
  local gone = tonumber(ARGV[place])
  place = place + 1
  apply('HDEL', KEYS[index], gone, 1)
end
return {'written'}
