-- Begins to note which fields change, for a copy of the cell that is read while its owner writes on.
-- KEYS: meta, copying. ARGV: who copies, seconds after which a copy that nobody goes on with is forgotten.
-- Gives {'begun', version, position}, {'none'} where there is no state, or {'busy'} while another copies.
local held = redis.call('HMGET', KEYS[1], 'version', 'position')
if not held[2] then
  return {'none'}
end
local other = redis.call('HGET', KEYS[2], '')
if other and other ~= ARGV[1] then
  return {'busy'}
end
redis.call('HSET', KEYS[2], '', ARGV[1], '@', held[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return {'begun', held[1], held[2]}
