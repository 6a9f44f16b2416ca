-- Reads a piece of one hash, and where the cell was when it was read.
-- KEYS: meta, copying, hash. ARGV: who copies, seconds, cursor, count.
-- Gives {'read', token and server, position, next cursor, fields and values}, or {'lost'} when the changes are no longer noted.
if redis.call('HGET', KEYS[2], '') ~= ARGV[1] then
  return {'lost'}
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'token', 'position')
-- Who owns the cell, on which server: another server numbers the fields of a hash anew, and a scan would miss some.
local known = redis.pcall('INFO', 'server')
local server = type(known) == 'string' and string.match(known, 'run_id:(%w+)') or ''
local found = redis.call('HSCAN', KEYS[3], ARGV[3], 'COUNT', ARGV[4])
return {'read', (held[1] or '') .. ' ' .. server, held[2] or '', found[1], found[2]}
