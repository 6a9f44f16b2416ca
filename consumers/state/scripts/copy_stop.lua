-- Gives a copy up.
-- KEYS: copying. ARGV: who copies.
-- Gives {'stopped'}, whether or not the copy was still going on.
if redis.call('HGET', KEYS[1], '') == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return {'stopped'}
