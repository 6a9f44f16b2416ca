-- Makes a token the cell's owner.
-- KEYS: meta, copying. ARGV: token, version.
-- Gives {'claimed'}, or {'version', the version found} and changes nothing.
local found = redis.call('HGET', KEYS[1], 'version')
if found and found ~= ARGV[2] then
  return {'version', found}
end
redis.call('UNLINK', KEYS[2]) -- a copy begun under another owner may hold what that one's Redis lost
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'version', ARGV[2])
return {'claimed'}
