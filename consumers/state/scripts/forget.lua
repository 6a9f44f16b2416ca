-- Drops outputs that are known to be committed.
-- KEYS: meta, outputs. ARGV: token, committed position.
-- Gives {'forgotten'}, or {'stale', token and position found} and changes nothing.
local held = redis.call('HMGET', KEYS[1], 'token', 'position')
if held[1] ~= ARGV[1] then
  return {'stale', held[1] or '', held[2] or ''}
end
for _, stop in ipairs(redis.call('HKEYS', KEYS[2])) do
  if tonumber(stop) <= tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[2], stop)
  end
end
return {'forgotten'}
