/**
 * The scripts that change what the hosts of a fleet share: each is one transition, as a
 * whole or not at all. KEYS[1] is the record of a credential, KEYS[2] its lease.
 *
 * They keep to what the proxies of cloud services take: keys only as literal `KEYS[n]`,
 * all of one slot, no PUBLISH, no unpack. Numbers are written out in full, as Lua would
 * round them.
 */
import { createHash } from "node:crypto";

/** A script, and the name by which a server keeps it. */
export interface RedisScript {
	readonly text: string;
	/** Hexadecimal SHA-1 of the text. */
	readonly sha: string;
}

function script(body: string): RedisScript {
	const text = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(n) return string.format('%.0f', n) end
local function number(text)
	local n = tonumber(text) or 0
	if n > 0 and n <= now + ${86_400_000} then return n end
	return 0
end
${body.trim()}`;
	return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/**
 * ARGV: the instance, the lease in ms, how long a record without a value is kept in ms.
 * → 1, fence, time; or 0, what is left of the lease in ms, time; then in both cases gen,
 * value, expire, state, host.
 */
export const claim = script(`
local r = redis.call('HMGET', KEYS[1], 'fence', 'gen', 'value', 'expire', 'state', 'host')
if redis.call('EXISTS', KEYS[2]) == 1 then
	local left = redis.call('PTTL', KEYS[2])
	return {0, whole(left), whole(now), r[2], r[3], r[4], r[5], r[6]}
end
local fence = whole(math.max(number(r[1]) + 1, number(r[2]) + 1, now))
redis.call('HSET', KEYS[1], 'fence', fence)
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
redis.call('SET', KEYS[2], fence .. ':' .. ARGV[1], 'PX', ARGV[2])
return {1, fence, whole(now), r[2], r[3], r[4], r[5], r[6]}`);

/** ARGV: fence:instance, the lease in ms, state. → 1; 0: the lease is another's. */
export const remember = script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1`);

/**
 * ARGV: gen (which is the fence), value, expire, state, host, how long to keep it in ms.
 * A lease that merely ran out is no loss. → 1; 0: another one was granted since.
 */
export const publish = script(`
local r = redis.call('HMGET', KEYS[1], 'fence', 'gen')
local gen = tonumber(ARGV[1])
if number(r[1]) > gen or number(r[2]) >= gen then return 0 end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'gen', ARGV[1], 'value', ARGV[2], 'expire', ARGV[3], 'state', ARGV[4], 'host', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1`);

/**
 * What a host holds, and the others perhaps do not know. ARGV: as of publish; then how it
 * is offered, see OfferKind. → 1; 0: the record is newer, or the number cannot be true.
 */
export const offer = script(`
local r = redis.call('HMGET', KEYS[1], 'fence', 'gen', 'value', 'expire')
local gen = tonumber(ARGV[1])
local theirs = number(r[2])
if theirs > gen or gen > now + 60000 then return 0 end
if theirs == gen and ARGV[7] ~= 'mending' then return 0 end
if ARGV[7] == 'unnumbered' and theirs > 0 and (tonumber(r[4]) or 0) > now then return 0 end
local fence = whole(math.max(number(r[1]), gen))
redis.call('HSET', KEYS[1], 'fence', fence, 'gen', ARGV[1], 'value', ARGV[2], 'expire', ARGV[3], 'state', ARGV[4], 'host', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1`);

/** ARGV: fence:instance, the lease in ms. → 1; 0: it is another's. */
export const renew = script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1`);

/** ARGV: fence:instance. → 1; 0: it was another's. */
export const release = script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
return 1`);

/**
 * A host that does not fetch wants another value. ARGV: the wish but for its time, how
 * long to keep a record without a value in ms. → its time.
 */
export const wish = script(`
redis.call('HSET', KEYS[1], 'wish', whole(now) .. ' ' .. ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return whole(now)`);

/**
 * What WeChat thinks of a value. KEYS[1] is beside the record. ARGV: the id of the value,
 * for how long others wait for this host in ms. → what stands there; "": nothing did, and
 * now it stands there that this host asks.
 */
export const verdict = script(`
local told = redis.call('GET', KEYS[1])
if told and string.sub(told, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then return told end
redis.call('SET', KEYS[1], ARGV[1] .. ' asked', 'PX', ARGV[2])
return ''`);

/**
 * A fact about a platform. KEYS[1] is the hash of facts, KEYS[2] the sorted set of their
 * stamps. ARGV: key, stamp, fact. → 1: it stands there; 0: a newer one does.
 */
export const putFact = script(`
local known = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '0')
if known > tonumber(ARGV[2]) then return 0 end
if known == tonumber(ARGV[2]) and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1`);

/**
 * A copy under the key of an SDK. KEYS[1] is that key, KEYS[2] beside it the number of
 * what we wrote. ARGV: gen, value, when it ends in epoch ms. It is written if it is
 * newer, or if ours is gone or altered. → 1: it was written.
 */
export const share = script(`
local gen = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
local mine = tonumber(ARGV[1])
if gen > mine or tonumber(ARGV[3]) <= now then return 0 end
if gen == mine and redis.call('GET', KEYS[1]) == ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
redis.call('SET', KEYS[2], ARGV[1], 'PXAT', ARGV[3])
return 1`);
