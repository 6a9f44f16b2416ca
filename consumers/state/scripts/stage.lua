-- Puts a piece of a state aside, where nobody reads it; it vanishes by itself when nobody goes on.
-- KEYS: a hash of the state put aside. ARGV: seconds, number of fields to set, field, value, ..., fields to delete ...
-- Gives {'staged', by how many fields the hash has grown}.
local CHUNK = 1000 -- arguments of one call: unpack has a limit of some thousands
local first, last = 3, 2 + 2 * tonumber(ARGV[2])
local grown = 0
for place = first, last, CHUNK do
  grown = grown + redis.call('HSET', KEYS[1], unpack(ARGV, place, math.min(place + CHUNK - 1, last)))
end
for place = last + 1, #ARGV, CHUNK do
  grown = grown - redis.call('HDEL', KEYS[1], unpack(ARGV, place, math.min(place + CHUNK - 1, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {'staged', grown}
