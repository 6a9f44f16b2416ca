-- Reads what a take-over compares, all at one moment.
-- KEYS: meta, outputs, then one hash for each kind.
-- Gives {version, token, position; nothing for those not set}, the outputs as field, value, ..., and the number of
-- fields of each of the other hashes.
local sizes = {}
for index = 3, #KEYS do
  sizes[index - 2] = redis.call('HLEN', KEYS[index])
end
return {redis.call('HMGET', KEYS[1], 'version', 'token', 'position'), redis.call('HGETALL', KEYS[2]), sizes}
