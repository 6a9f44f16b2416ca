-- Takes the lease, or renews it. KEYS: lease. ARGV: token, milliseconds.
-- Gives 1, or 0: another holds it.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
