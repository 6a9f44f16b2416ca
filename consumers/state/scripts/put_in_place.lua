-- Puts a state that was set aside in the place of what is there: all of it or nothing.
-- KEYS: meta, copying, then for each hash: where it was set aside, where it belongs.
-- ARGV: the token that must hold the cell ('' for whichever does), the token that holds it afterwards, version,
--       position, '1' to replace a newer state too, then for each hash the number of its fields.
-- Gives {'placed'}, {'done'} when this had been done before, or, having changed nothing, {'stale', token and position
-- found}, {'newer', the same} or {'lost'} when not all is there that was set aside.
local meta, required, token, position = KEYS[1], ARGV[1], ARGV[2], ARGV[4]
local held = redis.call('HMGET', meta, 'token', 'position')
local found, at = held[1] or '', held[2] or ''
if found == token and at == position then
  return {'done'}
end
if required ~= '' and found ~= required then
  return {'stale', found, at}
end
if at ~= '' and tonumber(at) > tonumber(position) and ARGV[5] ~= '1' then
  return {'newer', found, at}
end
for index = 3, #KEYS, 2 do
  if redis.call('HLEN', KEYS[index]) ~= tonumber(ARGV[(index - 3) / 2 + 6]) then
    return {'lost'}
  end
end

-- The first write is one that a full Redis refuses; after it, none is refused any more.
redis.call('HSET', meta, 'token', token, 'version', ARGV[3], 'position', position)
redis.call('UNLINK', KEYS[2])
for index = 3, #KEYS, 2 do
  redis.call('UNLINK', KEYS[index + 1])
  if redis.call('PERSIST', KEYS[index]) == 1 then
    redis.call('RENAME', KEYS[index], KEYS[index + 1])
  end
end
return {'placed'}
