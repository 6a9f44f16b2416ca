-- Writes what has changed of alerting's state, for the process that holds the lease, and renews the lease.
-- KEYS: lease, then hashes. ARGV: token, milliseconds of the lease, milliseconds that the hashes are kept; then for
-- each hash: how many fields are set, those fields with their values, how many are deleted, those fields.
-- Gives 1, or 0 and changes nothing: the lease has run out, so somebody else may have written, or is another's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local at = 4
for key = 2, #KEYS do
  local set = tonumber(ARGV[at])
  for field = 1, set do
    redis.call('HSET', KEYS[key], ARGV[at + 2 * field - 1], ARGV[at + 2 * field])
  end
  at = at + 1 + 2 * set
  local deleted = tonumber(ARGV[at])
  for field = 1, deleted do
    redis.call('HDEL', KEYS[key], ARGV[at + field])
  end
  at = at + 1 + deleted
  redis.call('PEXPIRE', KEYS[key], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
